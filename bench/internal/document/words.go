package document

const introduction = `What canton-backup costs beside the script that it replaces (the *seed*: ` + "`docker exec pg_dump | gzip`" + `) and beside the tools that one would
otherwise take, all from Debian, on one machine, in one run, on a double of the validator with real PostgreSQL in Docker.
`

const kindsText = `*text* is JSON and names that repeat, as views and contracts of a store have them; *hex* is bytea of structured messages, about half of them hashes and
signatures; *random* is bytea that does not compress; *mixed*, above, is a tenth text, four tenths hex and half random: gzip makes of it what it makes of a participant's tables. bytea is hex in a dump: two letters a byte.`

const reading = `## How to read it

- **Ratios before seconds**: seconds are this machine's. All subjects of a table ran in the same run, in turn A B B A, so that what drifts meets all alike. A figure is the
  median of its runs; with two runs it is their mean, and *from–to* shows how far they lie apart. Differences below 3 % are noise.
- **CPU s** is what all processors worked meanwhile, the Docker engine, our helper container, the S3 server and the disk's writers included, the benchmark's own
  watching not: what a node's host has to spare for it. *client* are the processes on the host, the worker's part included; *server* is the container of PostgreSQL with whatever runs in
  there, the backends and the peers' own programs, pgBackRest's container added. What is in neither is the engine's, the helper's and the S3 server's.
- **Memory** is the worst moment of all processes that the subject runs, on the host and in containers, added up every 50 ms: the Docker client of a script counts, the
  server's backends and the engine do not. Libraries that two processes share count twice. The worker's is the kernel's own record of its peak, Temporal and
  the web UI included, and the worst moment of its helper container is added to that; the command that asked it only waits, and is left out.
- **MB made** are the files, or the repository, at the end. MB are 10^6 bytes. *MB of SQL text* is the participant's plain dump.
- Each capture's file is read with stock tools and compared with a dump by itself, once for each size: all tell the same text. restic encrypts always; it cannot be told not to.
- **pgBackRest** copies the data files of the whole server, both databases and all indexes, and not SQL text. It is the fair choice for a server that is large and stays on its PostgreSQL version; what
  it makes can be neither read nor loaded into another version. Its restore replaces a stopped server, so it has no line among the restores.

## How to repeat it

    make bench                                    # all of it, about an hour on two cores; writes this page
    make bench BENCH='-sizes 250 -cases capture'  # a quick look; writes nothing
    make bench BENCH=-h                           # all flags

It wants Debian with Docker, root for packages, 25 GB of disk, and a machine with nothing else to do. It removes all that it made.
`
