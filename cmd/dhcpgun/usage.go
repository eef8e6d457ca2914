package main

const usage = `dhcpgun: a load generator for DHCP servers with the command line of perfdhcp.

Usage: dhcpgun [-4|-6] [-l ADDR|IFACE] [-r RATE] [-R CLIENTS] [-n N [-n N]] [-p SECONDS] [-t SECONDS]
       [-d SECONDS [-d SECONDS]] [-D N|N% [-D N|N%]] [-b mac=BASE|duid=HEX | -M FILE] [-J FILE] [-f RATE] [-F RATE]
       [-o CODE,HEX]... [-B] [-i] [-1] [-u] [-s SEED] [-L PORT] [-N PORT] [-W MICROSECONDS] [-C SEPARATOR]
       [-P N] [-w COMMAND] [-y SECONDS -Y SECONDS] [-x KEYS] [-g single|multi] [-A 1] [--or CODE,HEX]... [-c]
       [-e address-only|prefix-only|address-and-prefix] [-T FILE [-T FILE]] [-X N]... [-O N]... [-E N] [-S N] [-I N]
       [--scenario NAME] [--mix OP=WEIGHT,...] [--junk RATE] [--xdp|--packet] [--rai] [--direct] [--relays N|A-B]
       [--vlan VID[.VID]] [--pools A-B,...] [--window N] [--cpu N,...] [--sweep FROM:TO:STEPS] [--plot FILE.svg]
       [--json FILE] [SERVER|all|servers]
       dhcpgun --reflect IFACE

perfdhcp's: -4 -6 protocol · -l own address or interface · -r exchanges begun per second, else as many as can be ·
  -R simulated clients · -n stop after N first (second) messages · -p stop after a time · -t interim report ·
  -d drop time · -D stop after drops · -b first hardware address, or DUID · -M hardware addresses from a file ·
  -J relay addresses from a file · -f renewals per second · -F releases per second · -o option for every message ·
  -B broadcast flag · -i the first two messages only · -1 use the first server identifier · -u count addresses given
  twice · -s random seed · -L -N local and server port · -W wait for late answers at the end · -C machine-readable
  interim report · -P untimed exchanges first · -w command to run with "start" and "stop" · -y for how long clients
  pretend to have waited, -Y after how long · -x a arguments, e reason of the end, i rate details, l leases, s server
  identifier, t times, T templates · -g multi receive in a thread of its own · -A through a relay, --or with an option
  of its own · -c rapid commit · -e what is asked for · -T messages from files, with offsets of the transaction
  identifier (-X), client (-O), elapsed time (-E), server identifier (-S) and address (-I) · -h -v -V
Ours: --scenario basic|avalanche|dora|renew|rebind|init-reboot|release|decline|mixed|discover-flood|malformed-flood|
  storm|sarr|renew6 · --mix weights of dora, discover, renew, rebind, init-reboot, release, decline · --junk mutated
  packets per second beside the scenario · --xdp AF_XDP · --packet AF_PACKET (default: UDP sockets) · --rai send and
  check option 82 · --direct clients without a relay · --relays many relays, each with its own clients · --vlan tags
  of every packet · --pools count addresses outside · --window outstanding exchanges without -r · --cpu where the
  generator's thread runs · --sweep run at several rates · --plot draw the sweep · --json write everything to a file ·
  --reflect answer every packet with itself, the yardstick
What is not honoured is refused by name. Exit status: 0, 1 after an error, 3 if anything was dropped or a check of
the answers failed; of a sweep, only if a check failed.
`
