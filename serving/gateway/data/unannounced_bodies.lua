-- Counts what a team holds of this thread's memory in bodies of no announced length, as the pieces arrive. Beyond the
-- team's share nothing more of a body is kept: the rest is read and thrown away, and the request refused at its end.
--
-- What counts lives as long as its request does: Envoy lets go of a request's coroutine when the request is over,
-- however it ended, and the table below forgets it then. So nothing can be counted and never be given back.

local held = {} -- by team, bytes: at least as much as is held
local bodies = setmetatable({}, { __mode = "k" }) -- by coroutine: of whom, and how many bytes

-- What is held, of all whose requests are not over. Takes a few tenths of a millisecond, so only at the limit.
local function counted_again(team)
  collectgarbage()
  held = {}
  for _, body in pairs(bodies) do
    held[body.team] = (held[body.team] or 0) + body.bytes
  end
  return held[team] or 0
end

function envoy_on_request(request)
  local metadata = request:streamInfo():dynamicMetadata()
  local team = metadata:get(TOKEN_METADATA)[CLAIMS].sub
  local body = { team = team, bytes = 0 }
  bodies[coroutine.running()] = body
  local over = false
  for piece in request:bodyChunks() do
    local length = piece:length()
    if not over and (held[team] or 0) + length > SHARE and counted_again(team) + length > SHARE then
      over = true
      request:streamInfo():dynamicMetadata():set(METADATA, OVER, true)
    end
    if over then
      piece:setBytes("")
    else
      body.bytes = body.bytes + length
      held[team] = (held[team] or 0) + length
    end
  end
end
