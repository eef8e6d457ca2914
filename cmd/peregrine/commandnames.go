package main

// documentedCommands are the commands of docs/commands.md, for completion where no
// server answers. A test holds them equal.
const documentedCommands = `
build-report cache-clear cache-flush cache-get cache-get-by-id cache-insert cache-load cache-remove cache-size
cache-write class-add class-del class-get class-list class-update config-backend-pull config-get
config-hash-get config-reload config-set config-test config-write dhcp-disable dhcp-enable
extended-info4-upgrade extended-info6-upgrade interface-add interface-list interface-redetect kea-lfc-start
lease4-add lease4-del lease4-get lease4-get-all lease4-get-by-client-id lease4-get-by-hostname
lease4-get-by-hw-address lease4-get-by-state lease4-get-page lease4-resend-ddns lease4-update lease4-wipe
lease4-write lease6-add lease6-bulk-apply lease6-del lease6-get lease6-get-all lease6-get-by-duid
lease6-get-by-hostname lease6-get-by-hw-address lease6-get-by-state lease6-get-page lease6-resend-ddns
lease6-update lease6-wipe lease6-write leases-reclaim list-commands network4-add network4-del network4-get
network4-list network4-subnet-add network4-subnet-del network6-add network6-del network6-get network6-list
network6-subnet-add network6-subnet-del perfmon-control perfmon-get-all-durations reservation-add
reservation-del reservation-get reservation-get-all reservation-get-by-address reservation-get-by-hostname
reservation-get-by-id reservation-get-page reservation-update server-tag-get sflq-pool4-del sflq-pool4-get-all
sflq-pool4-get-by-range sflq-pool4-get-by-subnet sflq-pool4-rebuild sflq-pool6-del sflq-pool6-get-all
sflq-pool6-get-by-range sflq-pool6-get-by-subnet sflq-pool6-rebuild shutdown stat-lease4-get stat-lease6-get
statistic-get statistic-get-all statistic-global-get-all statistic-remove statistic-remove-all statistic-reset
statistic-reset-all statistic-sample-age-set statistic-sample-age-set-all statistic-sample-count-set
statistic-sample-count-set-all status-get subnet4-add subnet4-del subnet4-delta-add subnet4-delta-del
subnet4-get subnet4-list subnet4-select-test subnet4-update subnet4o6-select-test subnet6-add subnet6-del
subnet6-delta-add subnet6-delta-del subnet6-get subnet6-list subnet6-select-test subnet6-update version-get
`
