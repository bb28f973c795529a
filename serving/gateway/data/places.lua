-- Refuses a team that has as many requests waiting or running at a model as it may, in this thread.
--
-- A request counts as long as Envoy keeps its coroutine, which is until it is over, however it ended: the table forgets
-- it then, and nothing can be counted and never be given back. It is Lua's collector that forgets, so a count is too
-- high at first; at the limit the collector goes through, and the count is exact.

-- The compiler gains nothing here: it does not compile calls of Envoy, nor of coroutines.
jit.off(true, true)

local PAUSE_MS = 20 -- after a refusal of a team: so one that keeps asking costs no collection each time

local counts = {} -- by model and team: at least as many as there are
local refused = {} -- by model and team: when last
local requests = setmetatable({}, { __mode = "k" }) -- by coroutine: model and team

local function count_again()
  collectgarbage()
  counts = {}
  for _, key in pairs(requests) do
    counts[key] = (counts[key] or 0) + 1
  end
end

local function is_over(handle, key, most)
  if (counts[key] or 0) < most then
    return false
  end
  local now = handle:timestamp()
  local last = refused[key]
  if last == nil or now - last >= PAUSE_MS or now < last then
    count_again()
    if (counts[key] or 0) < most then
      refused[key] = nil
      return false
    end
    refused[key] = now
  end
  return true
end

function envoy_on_request(handle)
  local metadata = handle:streamInfo():dynamicMetadata()
  local found = metadata:get(METADATA)
  local place = found and found.model and handle:filterContext():get(found.model)
  if not place then
    return
  end
  local key = place.model .. "/" .. (handle:headers():get(TEAM) or "")
  if is_over(handle, key, place.most) then
    metadata:set(METADATA, OVER, place.most)
    handle:respond({ [":status"] = "429" }, "")
  end
  requests[coroutine.running()] = key
  counts[key] = (counts[key] or 0) + 1
end
