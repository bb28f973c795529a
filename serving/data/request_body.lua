-- Checks what json_to_metadata does not: that `model` stands once at the top level, and is a string. A parser that
-- took the first of two would answer with another model than the one whose right was checked.
--
-- The text is known to be JSON by now. Strings, nearly all of a prompt, are jumped over; all is linear in its length.

local BODY, REQUEST = "llm-platform.body", "llm-platform"

local TWICE = "The body gives 'model' more than once: give it once."
local NO_STRING = "'model' must be a string."
local ENCODED = "Send the body as it is, without Content-Encoding."

local byte, find, sub = string.byte, string.find, string.sub
local BACKSLASH, QUOTE = 92, 34
local OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY = 123, 125, 91, 93

-- Where the string ends that has a character or its closing quote at `at`.
local function closing_quote(text, at)
  while true do
    local quote = find(text, '"', at, true)
    local before = quote - 1
    while byte(text, before) == BACKSLASH do
      before = before - 1
    end
    if (quote - before) % 2 == 1 then
      return quote
    end
    at = quote + 1
  end
end

-- A letter may be written \u006d; no other escape stands for one of these letters.
local function is_model(raw)
  return #raw <= 30 and (raw:gsub("\\u00(%x%x)", function(code)
    return string.char(tonumber(code, 16))
  end)) == "model"
end

local function problem_after(text, key_end)
  return not find(text, '^[ \t\r\n]*:[ \t\r\n]*"', key_end + 1) and NO_STRING or nil
end

local function problem_of_every_key(text)
  local depth, seen, at, length = 0, false, 1, #text
  while at <= length do
    local character = byte(text, at)
    if character == QUOTE then
      local quote = closing_quote(text, at + 1)
      if depth == 1 and is_model(sub(text, at + 1, quote - 1)) and find(text, "^[ \t\r\n]*:", quote + 1) then
        local problem = seen and TWICE or problem_after(text, quote)
        if problem then
          return problem
        end
        seen = true
      end
      at = quote
    elseif character == OPEN_OBJECT or character == OPEN_ARRAY then
      depth = depth + 1
    elseif character == CLOSE_OBJECT or character == CLOSE_ARRAY then
      depth = depth - 1
    end
    at = at + 1
  end
  return not seen and NO_STRING or nil
end

local function problem_of(text)
  local first, last = find(text, '"model"', 1, true)
  if first and not find(text, '"model"', last + 1, true) and not find(text, "\\u006", 1, true) then
    return problem_after(text, last) -- it is there, so this is it
  end
  return problem_of_every_key(text)
end

function envoy_on_request(handle)
  local found = handle:streamInfo():dynamicMetadata():get(BODY)
  if not found or not found.model then
    return -- no body, or none with a `model`: routes to models need one
  end
  local encoding = handle:headers():get("content-encoding")
  local problem = encoding and encoding ~= "identity" and ENCODED
  if not problem then
    local body = handle:body()
    problem = problem_of(body:getBytes(0, body:length()))
  end
  -- Envoy's objects do not outlive a call that may wait, as that for the body may.
  local metadata = handle:streamInfo():dynamicMetadata()
  if problem then
    metadata:set(REQUEST, "problem", problem)
  else
    metadata:set(REQUEST, "model", found.model)
  end
end
