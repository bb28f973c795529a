-- Reads `model` and `prompt_cache_key` from the body, and refuses what two parsers may read differently: what is not
-- one JSON object (RFC 8259) in UTF-8, and a `model` that is given twice or is no string.
--
-- It goes through the text once, byte by byte, in loops that LuaJIT compiles, and takes no piece out of it before the
-- end: what a byte costs does not depend on what the body holds. A piece of text costs as much as 100 bytes, the
-- conversion of a number up to 40 us.

local NO_JSON = "The body is not a JSON object in UTF-8: something is wrong at byte "
local TWICE = "The body gives 'model' more than once: give it once."
local NO_NUMBER = "The number at byte %d is out of range: its value must be below 1e308, its exponent have at most 4 digits, "
  .. "all of it at most 1000 characters. Send it as a string, or leave it out."
local NO_NAME = "'model' must be a string with the name of a model, in a JSON object."
local MAX_NAME = 1024 -- bytes; no model's name is near it, and it is repeated in logs and errors. A key: left out.
local ENCODED = "Send the body as it is, without Content-Encoding."

-- Deeper than any schema of a tool; Python's parser gives up at about 1000.
local MAX_DEPTH = 500

local MAX_NUMBER = 1000 -- characters; Python's parser gives up at 4300
local MAX_POWER = 307 -- of ten: whatever begins with a lower one is finite; of 1e308, only what is below 1.8e308
local MAX_EXPONENT = 9999

-- Lua's collector lets garbage grow to as much as is in use, so the copy of a long body is not left to it.
local LONG_BYTES = 256 * 1024

local byte, find, sub, char, gsub = string.byte, string.find, string.sub, string.char, string.gsub
local max, min = math.max, math.min
local QUOTE, BACKSLASH, COMMA, COLON, MINUS, PLUS, DOT, ZERO, NINE = 34, 92, 44, 58, 45, 43, 46, 48, 57
local OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY = 123, 125, 91, 93

-- The first position from `at` on that is no white space.
local function after_space(text, at)
  local b = byte(text, at)
  while b == 32 or b == 10 or b == 13 or b == 9 do
    at = at + 1
    b = byte(text, at)
  end
  return at
end

local function is_continuation(b, least, most)
  return b ~= nil and b >= least and b <= most
end

-- Length of the character of several bytes that begins at `at` with `b`; nil if it is none (RFC 3629).
local function utf8_length(text, at, b)
  local second = byte(text, at + 1)
  if b >= 0xc2 and b <= 0xdf then
    return is_continuation(second, 0x80, 0xbf) and 2 or nil
  end
  local third = byte(text, at + 2)
  if b >= 0xe0 and b <= 0xef then
    -- Not what fits into two bytes, and no half of a UTF-16 pair.
    local least, most = b == 0xe0 and 0xa0 or 0x80, b == 0xed and 0x9f or 0xbf
    return is_continuation(second, least, most) and is_continuation(third, 0x80, 0xbf) and 3 or nil
  end
  if b >= 0xf0 and b <= 0xf4 then
    local least, most = b == 0xf0 and 0x90 or 0x80, b == 0xf4 and 0x8f or 0xbf
    local fourth = byte(text, at + 3)
    return is_continuation(second, least, most)
        and is_continuation(third, 0x80, 0xbf)
        and is_continuation(fourth, 0x80, 0xbf)
        and 4
      or nil
  end
  return nil
end

local HEX = {}
for digit = 0, 15 do
  HEX[byte(string.format("%x", digit))] = digit
  HEX[byte(string.format("%X", digit))] = digit
end

-- The number that four hexadecimal digits at `at` give; nil if they are none.
local function hex_at(text, at)
  local a, b, c, d = HEX[byte(text, at)], HEX[byte(text, at + 1)], HEX[byte(text, at + 2)], HEX[byte(text, at + 3)]
  return a and b and c and d and a * 0x1000 + b * 0x100 + c * 0x10 + d
end

local SHORT_ESCAPES = {}
for letter in ('"\\/bfnrt'):gmatch(".") do
  SHORT_ESCAPES[byte(letter)] = true
end

-- Length of the escape at `at`; nil if it is none. Half of a pair stands for no character.
local function escape_length(text, at)
  local b = byte(text, at + 1)
  if b ~= 117 then -- u
    return SHORT_ESCAPES[b] and 2 or nil
  end
  local code = hex_at(text, at + 2)
  if code == nil or code >= 0xdc00 and code <= 0xdfff then
    return nil
  end
  if code < 0xd800 or code > 0xdbff then
    return 6
  end
  local low = byte(text, at + 6) == BACKSLASH and byte(text, at + 7) == 117 and hex_at(text, at + 8)
  return low and low >= 0xdc00 and low <= 0xdfff and 12 or nil
end

-- Where the string ends that begins after the quote before `at`: its closing quote, or nil and where it is wrong.
local function closing_quote(text, at)
  while true do
    local b = byte(text, at)
    while b ~= nil and b ~= QUOTE and b ~= BACKSLASH and b >= 32 and b < 128 do
      at = at + 1
      b = byte(text, at)
    end
    if b == QUOTE then
      return at
    end
    local length
    if b == BACKSLASH then
      length = escape_length(text, at)
    elseif b ~= nil and b >= 128 then
      length = utf8_length(text, at, b)
    end
    if length == nil then
      return nil, at
    end
    at = at + length
  end
end

local function after_digits(text, at)
  local first = at
  local b = byte(text, at)
  while b ~= nil and b >= ZERO and b <= NINE do
    at = at + 1
    b = byte(text, at)
  end
  return at > first and at or nil
end

-- The first position from `at` on that is no 0.
local function leading_zeros(text, at)
  while byte(text, at) == ZERO do
    at = at + 1
  end
  return at
end

-- The position after the number at `at`. Nil if there is none; nil and true if some parsers refuse it, as beyond what
-- 64 bits hold or longer than any that means something. Decided by counting: to convert it takes up to 40 us.
local function after_number(text, at)
  local first = at
  if byte(text, at) == MINUS then
    at = at + 1
  end
  -- power: of ten, by which the number begins. nil while all its digits are 0.
  local power = nil
  local whole = at
  if byte(text, at) == ZERO then
    at = at + 1
  else
    at = after_digits(text, at)
    if at == nil then
      return nil
    end
    power = at - whole - 1
  end
  if byte(text, at) == DOT then
    local fraction = at + 1
    at = after_digits(text, fraction)
    if at == nil then
      return nil
    end
    if power == nil then
      local significant = leading_zeros(text, fraction)
      power = significant < at and fraction - significant - 1 or nil
    end
  end
  local b = byte(text, at)
  local exponent = 0
  if b == 101 or b == 69 then -- e, E
    local sign = byte(text, at + 1)
    local digits = (sign == PLUS or sign == MINUS) and at + 2 or at + 1
    at = after_digits(text, digits)
    if at == nil then
      return nil
    end
    for place = leading_zeros(text, digits), at - 1 do
      exponent = 10 * exponent + byte(text, place) - ZERO
      if exponent > MAX_EXPONENT then
        return nil, true
      end
    end
    exponent = sign == MINUS and -exponent or exponent
  end
  if at - first > MAX_NUMBER or power ~= nil and power + exponent > MAX_POWER then
    return nil, true
  end
  return at
end

local TRUE, FALSE, NULL = 116, 102, 110

local function after_literal(text, at)
  local b = byte(text, at)
  if b == TRUE then
    return byte(text, at + 1) == 114 and byte(text, at + 2) == 117 and byte(text, at + 3) == 101 and at + 4 or nil
  elseif b == NULL then
    return byte(text, at + 1) == 117 and byte(text, at + 2) == 108 and byte(text, at + 3) == 108 and at + 4 or nil
  elseif b == FALSE then
    return byte(text, at + 1) == 97
        and byte(text, at + 2) == 108
        and byte(text, at + 3) == 115
        and byte(text, at + 4) == 101
        and at + 5
      or nil
  end
  return nil
end

local function utf8(code)
  if code < 0x80 then
    return char(code)
  elseif code < 0x800 then
    return char(0xc0 + math.floor(code / 0x40), 0x80 + code % 0x40)
  elseif code < 0x10000 then
    return char(0xe0 + math.floor(code / 0x1000), 0x80 + math.floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
  end
  return char(
    0xf0 + math.floor(code / 0x40000),
    0x80 + math.floor(code / 0x1000) % 0x40,
    0x80 + math.floor(code / 0x40) % 0x40,
    0x80 + code % 0x40
  )
end

local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- What the string says whose text, checked already, is from `first` to `last` between its quotes.
local function value(text, first, last)
  local raw = sub(text, first, last)
  if not find(raw, "\\", 1, true) then
    return raw
  end
  local parts, at = {}, 1
  while at <= #raw do
    local escape = find(raw, "\\", at, true)
    parts[#parts + 1] = sub(raw, at, (escape or #raw + 1) - 1)
    if not escape then
      break
    end
    local kind = sub(raw, escape + 1, escape + 1)
    if kind ~= "u" then
      parts[#parts + 1] = ESCAPES[kind] or kind
      at = escape + 2
    else
      local length, code = escape_length(raw, escape), hex_at(raw, escape + 2)
      if length == 12 then
        code = 0x10000 + (code - 0xd800) * 0x400 + hex_at(raw, escape + 8) - 0xdc00
      end
      parts[#parts + 1] = utf8(code)
      at = escape + length
    end
  end
  return table.concat(parts)
end

-- Whether the string from `first` to `last` says `name`, letters without a short escape.
local function says(text, first, last, name)
  local at = first
  for place = 1, #name do
    local b = byte(text, at)
    if b == BACKSLASH and byte(text, at + 1) == 117 then
      b = hex_at(text, at + 2)
      at = at + 5
    end
    if b ~= byte(name, place) then
      return false
    end
    at = at + 1
  end
  return at == last + 1
end

local MODEL, CACHE_KEY = "model", "prompt_cache_key"
local N, LIST, LETTER_N = "n", "list of prompts", 110

-- What the string says that was found at `first`; nil if there was none, or it is longer than MAX_NAME in escapes.
local function short_value(text, first, last)
  return first and last - first < 6 * MAX_NAME and value(text, first, last) or nil
end

-- The name with everything but printable ASCII as %XX, as metadata.py has it: in logs and errors, characters that turn
-- the direction of a line, end it or move a terminal's cursor do nothing.
local function printable(name)
  return (gsub(name, "[^\32-\36\38-\126]", function(c)
    return ("%%%02X"):format(byte(c))
  end))
end

-- Lists of prompts: an engine makes a request of its own of each.
local LISTS = { [5] = "input", [6] = "prompt", [9] = "documents" }
local MAX_COUNT = 15 -- characters of `n`; more are more than any engine takes

local function is_list_of_prompts(text, first, last)
  local name = LISTS[last - first + 1]
  return name ~= nil and byte(text, first) == byte(name) and sub(text, first, last) == name
end

-- `model`, what is wrong with the body if something is, `prompt_cache_key`, and how many sequences it asks for: `n`
-- times the prompts of a list. A list of numbers is one prompt, in tokens.
local function read(text)
  local at = after_space(text, 1)
  if byte(text, at) ~= OPEN_OBJECT then
    return nil, NO_JSON .. at
  end
  local problem
  -- Where the values begin and end of the keys that matter; read at the end, once, however often they are given.
  local model_first, model_last, cache_first, cache_last
  local seen, key = false, nil
  local prompts, counting, n_first, n_last = 1, false, nil, nil
  -- is_object[depth]: what kind of container is open there; a stack, as a script's own calls are limited.
  -- empty: the innermost has just been opened.
  local is_object, depth, empty = { true }, 1, true
  at = after_space(text, at + 1)
  while true do
    local b = byte(text, at)
    local closing = is_object[depth] and CLOSE_OBJECT or CLOSE_ARRAY
    if b == closing then
      depth = depth - 1
      counting = counting and depth > 1
      at = after_space(text, at + 1)
      if depth == 0 then
        break
      end
      empty = false
    else
      if not empty then
        if b ~= COMMA then
          return nil, NO_JSON .. at
        end
        at = after_space(text, at + 1)
      end
      if is_object[depth] then
        if byte(text, at) ~= QUOTE then
          return nil, NO_JSON .. at
        end
        local last, wrong = closing_quote(text, at + 1)
        if last == nil then
          return nil, NO_JSON .. wrong
        end
        if depth == 1 then
          key = nil
          if says(text, at + 1, last - 1, MODEL) then
            key = MODEL
            problem = problem or seen and TWICE
            seen = true
          elseif says(text, at + 1, last - 1, CACHE_KEY) then
            key = CACHE_KEY
          elseif last == at + 2 and byte(text, at + 1) == LETTER_N then
            key = N
          elseif is_list_of_prompts(text, at + 1, last - 1) then
            key = LIST
          end
        end
        at = after_space(text, last + 1)
        if byte(text, at) ~= COLON then
          return nil, NO_JSON .. at
        end
        at = after_space(text, at + 1)
      end
      b = byte(text, at)
      empty = false
      local named = depth == 1 and key
      if counting and depth == 2 then
        prompts = prompts + 1
        if b == MINUS or b ~= nil and b >= ZERO and b <= NINE then
          prompts, counting = 1, false
        end
      end
      if b == QUOTE then
        local last, wrong = closing_quote(text, at + 1)
        if last == nil then
          return nil, NO_JSON .. wrong
        end
        if named == MODEL then
          model_first, model_last = at + 1, last - 1
        elseif named == CACHE_KEY then
          cache_first, cache_last = at + 1, last - 1
        end
        at = after_space(text, last + 1)
      else
        if named == MODEL then
          problem = problem or NO_NAME
        end
        if b == OPEN_OBJECT or b == OPEN_ARRAY then
          depth = depth + 1
          if depth > MAX_DEPTH then
            return nil, NO_JSON .. at .. ": nested deeper than " .. MAX_DEPTH
          end
          is_object[depth] = b == OPEN_OBJECT
          empty = true
          if named == LIST then
            prompts, counting = b == OPEN_ARRAY and 0 or 1, b == OPEN_ARRAY
          end
          at = after_space(text, at + 1)
        else
          local after, beyond
          if b == MINUS or b ~= nil and b >= ZERO and b <= NINE then
            after, beyond = after_number(text, at)
          else
            after = after_literal(text, at)
          end
          if named == N and after ~= nil then
            n_first, n_last = at, after - 1
          end
          if after == nil then
            return nil, beyond and NO_NUMBER:format(at) or NO_JSON .. at
          end
          at = after_space(text, after)
        end
      end
    end
  end
  if at <= #text then
    return nil, NO_JSON .. at
  end
  local model = not problem and short_value(text, model_first, model_last) or nil
  local prompt_cache_key = short_value(text, cache_first, cache_last)
  if model_first and not model then
    problem = problem or NO_NAME
  end
  -- Envoy takes texts from scripts up to the first NUL only.
  if model and (model == "" or #model > MAX_NAME or find(model, "\0", 1, true)) then
    problem = problem or NO_NAME
  end
  local n = n_first and n_last - n_first < MAX_COUNT and tonumber(sub(text, n_first, n_last)) or 1
  return model, problem, prompt_cache_key, min(max(n, 1) * max(prompts, 1), 2 ^ 53)
end

local function is_json(content_type)
  return content_type ~= nil and find(content_type:lower() .. ";", "^application/json%s*;") ~= nil
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if headers:get(":method") ~= "POST" or not is_json(headers:get("content-type")) then
    return -- routes to models need a model
  end
  local encoding = headers:get("content-encoding")
  local model, problem, prompt_cache_key, sequences
  if encoding and encoding ~= "identity" then
    problem = ENCODED
  else
    local body = handle:body()
    if body == nil then
      return
    end
    local length = body:length()
    model, problem, prompt_cache_key, sequences = read(body:getBytes(0, length))
    if length > LONG_BYTES then
      collectgarbage()
    end
  end
  -- Envoy's objects do not outlive a call that may wait, as that for the body may.
  local metadata = handle:streamInfo():dynamicMetadata()
  if problem then
    metadata:set("llm-platform", "problem", problem)
  elseif model then
    metadata:set("llm-platform", "model", printable(model))
    if sequences > 1 then
      metadata:set("llm-platform", "sequences", sequences)
    end
    if prompt_cache_key then
      metadata:set("llm-platform", "prompt_cache_key", prompt_cache_key)
    end
  end
end
