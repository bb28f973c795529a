"""What each failure costs: parts of the platform are killed or taken away while users are being served.

`python -m local.load.chaos` keeps a steady load on the running local cluster, breaks one part after the
other, and writes down failed requests, the time until everything is as before, and whether the replicas were
held while the autoscaler was blind. They must never fall then: nobody may take away what serves users because
a measurement is missing.
"""
