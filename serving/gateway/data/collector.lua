-- Sets how often Lua's collector goes through the heap. LuaJIT does so whenever there is as much garbage as is in use.
-- Without load that is 185 KiB, a request with a body of 2 kB leaves 4.4 KiB behind (measured in Envoy 1.40), and so all
-- of the heap was gone through for every 42 requests. To do so less often saves 2 us of a stream's 88.
--
-- As long as the heap is small, nine times as much garbage may come together. When it is large, because of long bodies or
-- of thousands of answers at once, the default holds: memory counts more then.

local SMALL_KIB = 2048 -- with its garbage; so it may have grown to ten times this once, until the collector follows

function envoy_on_request()
  collectgarbage("setpause", collectgarbage("count") < SMALL_KIB and 1000 or 200) -- per cent of what is in use
end
