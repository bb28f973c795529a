-- Looks at the pieces of an answer as they pass, keeps the two ends of it only, and notes for the access log
--   how many tokens it took, from the `usage` object that the engine puts near its end, or near its beginning
--   (rerank). No text of an answer is taken for it: inside a JSON string a quote has a backslash before it;
--   whether the first event of a stream is an error: engines refuse streams so, with status 200.
-- Of the gateway's own 503 it finds out whether an engine had the request and broke off: that is another error.

local EVENT, TAIL = 1024, 1024

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

-- What the first event says, after comments and other fields: nil for anything but an error.
local function error_event(text)
  local data = match("\n" .. text, "\ndata:[ \t]*([^\n]*)")
  if not data or not find(data, '^{%s*"error"%s*:') then
    return nil
  end
  local code = match(data, '"code"%s*:%s*"?(%d%d%d)')
  if code == "503" or code == "429" or find(data, '"overloaded"', 1, true) then
    return "refused"
  end
  return code and sub(code, 1, 1) == "4" and "rejected" or "failed"
end

local function note_error(answer, first)
  local outcome = error_event(first)
  if outcome then
    answer:streamInfo():dynamicMetadata():set(METADATA, "outcome", outcome)
  end
end

local function broke_off(answer, headers)
  local sent, received, flags = match(headers:get(LOOK), "^(%d+) (%d+) (.*)$")
  headers:remove(LOOK)
  local noted = answer:streamInfo():dynamicMetadata():get(METADATA)
  local tries = noted and noted.tries or { sent = 0, received = 0, broken = 0 }
  for flag in string.gmatch(flags, "%w+") do
    if flag == "UC" or flag == "UR" or flag == "UPE" then -- closed, reset, or not HTTP
      return true
    end
  end
  if tries.broken > 0 then
    return true
  end
  -- The try before this one: nothing was received after all that was sent.
  return tonumber(sent) > tries.sent and tonumber(received) == tries.received
end

function envoy_on_response(answer)
  local headers = answer:headers()
  local status = headers:get(":status")
  if status == "503" and headers:get(LOOK) and broke_off(answer, headers) then
    answer:streamInfo():dynamicMetadata():set(METADATA, "outcome", "broken")
    headers:replace(":status", "502")
    headers:remove("retry-after")
    headers:replace("x-should-retry", "false")
    headers:replace("content-length", tostring(answer:body(true):setBytes(BROKE_OFF)))
    return
  end
  if status == "502" and headers:get("x-should-retry") then
    headers:remove(MODEL_HEADER) -- of the replica that the request was not sent to any more
  end
  if status ~= "200" or headers:get(MODEL_HEADER) == nil then
    return -- the gateway's own, or an error
  end
  local beginning = find(headers:get("content-type") or "", "text/event-stream", 1, true) ~= nil
  local first, last = "", ""
  for piece in answer:bodyChunks() do
    local length = piece:length()
    if beginning or first == "" then
      first = first .. piece:getBytes(0, min(length, EVENT - #first))
      if beginning and (#first == EVENT or find("\n" .. first, "\ndata:[^\n]*\n")) then
        beginning = false
        note_error(answer, first)
      end
    end
    local kept = min(length, TAIL)
    local ending = piece:getBytes(length - kept, kept)
    last = kept == TAIL and ending or sub(last, max(1, #last + kept - TAIL + 1)) .. ending
  end
  if beginning then
    note_error(answer, first)
  end
  local usage = last_usage(last) or last_usage(first)
  if usage then
    local counts = { prompt = count(usage, "prompt_tokens"), completion = count(usage, "completion_tokens") }
    answer:streamInfo():dynamicMetadata():set(METADATA, "tokens", counts)
  end
end
