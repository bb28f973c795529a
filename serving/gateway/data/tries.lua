-- Stands before every try of a request but the first, and decides whether there is one more. It reads how the
-- tries before ended from what they sent and received, which Envoy adds up over all tries that got a connection:
--   nothing sent since the last look            not delivered: no connection, or it was refused
--   sent, and an answer's headers received      503, a queue that is full: nothing was begun
--   sent, and nothing received                  delivered, and then the connection broke
-- Two budgets, because only the last may have done harm: the request itself may be what breaks an engine.

function envoy_on_request(request)
  local headers, metadata = request:headers(), request:streamInfo():dynamicMetadata()
  local sent, received, cluster = string.match(headers:get(LOOK), "^(%d+) (%d+) (.*)$")
  headers:remove(LOOK)
  sent, received = tonumber(sent), tonumber(received)
  local before = metadata:get(METADATA)
  local tries = before and before.tries or { sent = 0, received = 0, broken = 0, undelivered = 0 }
  local full = sent > tries.sent and received > tries.received
  if sent > tries.sent and not full then
    tries.broken = tries.broken + 1
  else
    tries.undelivered = tries.undelivered + 1
  end
  tries.sent, tries.received = sent, received
  metadata:set(METADATA, "tries", tries)

  -- A full queue is tried elsewhere only: on the same replicas it would be load on top of overload.
  local nowhere_else = full and not string.find(cluster, "_or_", 1, true)
  local over = tries.broken >= DELIVERIES or tries.undelivered >= UNDELIVERED or nowhere_else
  if not over then
    return
  end
  if tries.broken > 0 then
    metadata:set(METADATA, "outcome", "broken")
    request:respond({ [":status"] = "502" }, "")
  else
    metadata:set(METADATA, "outcome", full and "full" or "unreachable")
    request:respond({ [":status"] = "503" }, "")
  end
end
