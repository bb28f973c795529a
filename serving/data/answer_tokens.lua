-- Notes for the access log how many tokens an answer took, from the `usage` object that the engine puts near its end,
-- or near its beginning (rerank). Passes each piece on at once and keeps the two ends of the answer only.
--
-- No text of an answer is taken for it: inside a JSON string a quote has a backslash before it.

local HEAD, TAIL = 512, 1024

local find, match, sub, max, min = string.find, string.match, string.sub, math.max, math.min

local function last_usage(text)
  local found, at = nil, 1
  while true do
    local _, key_end = find(text, '"usage":', at, true)
    if not key_end then
      return found
    end
    found = match(text, "^%s*(%b{})", key_end + 1) or found -- null, but for the last event of a stream
    at = key_end + 1
  end
end

local function count(usage, name)
  return tonumber(match(usage, '"' .. name .. '":%s*(%d+)'))
end

function envoy_on_response(answer)
  local headers = answer:headers()
  if headers:get(":status") ~= "200" or headers:get("x-llm-platform-model") == nil then
    return -- the gateway's own, or an error
  end
  local first, last = "", ""
  for piece in answer:bodyChunks() do
    local length = piece:length()
    if first == "" then
      first = piece:getBytes(0, min(length, HEAD))
    end
    local kept = min(length, TAIL)
    local ending = piece:getBytes(length - kept, kept)
    last = kept == TAIL and ending or sub(last, max(1, #last + kept - TAIL + 1)) .. ending
  end
  local usage = last_usage(last) or last_usage(first)
  if usage then
    local counts = { prompt = count(usage, "prompt_tokens"), completion = count(usage, "completion_tokens") }
    answer:streamInfo():dynamicMetadata():set("llm-platform", "tokens", counts)
  end
end
