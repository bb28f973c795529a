-- Looks at the pieces of an answer as they pass, keeps the two ends of it only, and notes for the access log
--   how many tokens it took, from the `usage` object that the engine puts near its end, or near its beginning
--   (rerank). No text of an answer is taken for it: inside a JSON string a quote has a backslash before it;
--   whether the first event of a stream is an error: engines refuse streams so, with status 200.
-- Of the gateway's own 503 it finds out whether an engine had the request and broke off: that is another error.

-- The compiler gains nothing here: it does not compile calls of Envoy, nor patterns, and its attempts cost 5 us.
jit.off(true, true)

local EVENT, TAIL, LONG = 1024, 1024, 4096

local byte, find, match, sub, concat = string.byte, string.find, string.match, string.sub, table.concat
local OPEN_OBJECT = 123

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

local PROMPT, COMPLETION = '"prompt_tokens":%s*(%d+)', '"completion_tokens":%s*(%d+)'

-- Where the data of the first event begins, after comments and other fields; nil as long as it has not.
local function first_data(text)
  local _, at = find(text, "^data:[ \t]*")
  if not at then
    _, at = find(text, "\ndata:[ \t]*")
  end
  return at and at + 1
end

-- What the first event says, whose data begins at `at`: nil for anything but an error.
local function error_event(text, at)
  if byte(text, at) ~= OPEN_OBJECT or not find(text, '^{%s*"error"%s*:', at) then
    return nil
  end
  local data = match(text, "^[^\n]*", at)
  local code = match(data, '"code"%s*:%s*"?(%d%d%d)')
  if code == "503" or code == "429" or find(data, '"overloaded"', 1, true) then
    return "refused"
  end
  return code and sub(code, 1, 1) == "4" and "rejected" or "failed"
end

-- Whether it is known what the first event says; an error is noted. `text`: the beginning of the answer.
local function is_judged(answer, text, is_all)
  local at = first_data(text)
  if not is_all and #text < EVENT and not (at and find(text, "\n", at, true)) then
    return false
  end
  local outcome = at and error_event(text, at)
  if outcome then
    answer:streamInfo():dynamicMetadata():set(METADATA, "outcome", outcome)
  end
  return true
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
  local judged = not find(headers:get("content-type") or "", "text/event-stream", 1, true)
  local first = nil
  -- The pieces that the answer ends with so far, `size` bytes of text together. They are joined at the end, and when
  -- they have become long: to join them for each piece took twice as long.
  local parts, count, size = {}, 0, 0
  for piece in answer:bodyChunks() do
    local length = piece:length()
    if length > 0 then
      local kept = length < TAIL and length or TAIL
      local ending = piece:getBytes(length - kept, kept)
      if first == nil or not judged then
        local missing = EVENT - #(first or "")
        local beginning = length <= missing and kept == length and ending
          or piece:getBytes(0, length < missing and length or missing)
        first = first and first .. beginning or beginning
        judged = judged or is_judged(answer, first, false)
      end
      if kept == TAIL then
        parts[1], count, size = ending, 1, TAIL
      else
        count, size = count + 1, size + kept
        parts[count] = ending
        if size > LONG then
          parts[1], count, size = sub(concat(parts, "", 1, count), -TAIL), 1, TAIL
        end
      end
    end
  end
  if first == nil then
    return
  end
  if not judged then
    is_judged(answer, first, true)
  end
  local last = count == 1 and parts[1] or sub(concat(parts, "", 1, count), -TAIL)
  local usage = last_usage(last) or last ~= first and last_usage(first)
  if usage then
    local counts = { prompt = tonumber(match(usage, PROMPT)), completion = tonumber(match(usage, COMPLETION)) }
    answer:streamInfo():dynamicMetadata():set(METADATA, "tokens", counts)
  end
end
