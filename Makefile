# Peregrine. `make run` shows it working, `make test` proves it.

GO      ?= go
CLANG   ?= clang-14
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.build=$(VERSION)
# The AF_XDP rings share memory with the kernel, which the race detector cannot
# see, and a configuration is read by one goroutine, but ten times as slowly with
# it; everything else is tested with it. The comparison with Kea runs the built
# program, which the test cache does not know.
RACE_PKGS = $(shell $(GO) list ./... | grep -v -e '/fastpath/xsk$$' -e '/slowpath/config$$' -e '/bench/differential$$')

.PHONY: all build run test bench bench-kea generate lint clean

all: build

build:
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/peregrine ./cmd/dhcpgun ./cmd/lab

# The newcomer's command: a lab of network namespaces, a server with XDP, real
# and simulated clients, a kill -9 and a restart.
run: build
	@bin/lab run

test:
	$(GO) vet ./...
	$(GO) test -race -timeout 12m $(RACE_PKGS)
	$(GO) test -timeout 5m ./fastpath/xsk ./slowpath/config
	$(GO) test -timeout 5m -count=1 ./bench/differential
	$(GO) test -tags invariants -timeout 5m ./fastpath/... ./slowpath/netio/...

# Figures of this machine, each against a yardstick measured in the same run.
bench: build
	@bin/lab bench -o bench/results/latest.json

# The same with Debian's kea-dhcp4 and kea-dhcp6 beside it; says how to install them.
bench-kea: build
	@bin/lab bench -only reflector,dora,latency,overload,six,kea,kea6 -o bench/results/kea.json

generate:
	$(GO) generate ./bpf ./hooks

lint:
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "not gofmt'ed:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...

clean:
	rm -rf bin
