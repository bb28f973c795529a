"""How long a user waits when a model needs more capacity, from where that capacity comes.

`python -m local.load.cases` makes the running local cluster each of these environments in turn, by
`pulumi up` with a changed copy of the stack file, and loads it:

    cold        nothing is kept ready: a new machine, then a new replica
    warm node   a machine is kept ready (`warm_nodes`): a new replica on it
    hot spare   a replica more than needed runs (`warm_replicas`): it takes the burst at once
    from zero   the model sleeps (`replicas.min: 0`): the first request wakes it
"""
