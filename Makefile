# Everything that people and CI do with dunlin. 'make help' lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := check

VERSION  ?= $(shell git describe --tags --match 'v*' --dirty 2>/dev/null | sed 's/^v//' || true)
ifeq ($(strip $(VERSION)),)
VERSION  := 0.1.0-dev
endif
REVISION ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
FUZZTIME ?= 10s
SOAK     ?= 10m
export VERSION REVISION

.PHONY: abuse backlog board chips outage crash kill run build install test check deps-test vet fuzz cross e2e interop vuln bench bench-smoke fresh soak clean spec spec-mutants release release-check help

run: ## build dunlin for this machine and start the demo: no hardware, no configuration
	@mkdir -p build/out
	@[ -e build/out/dunlin ] || echo 'building dunlin: a minute or two the first time'
	@scripts/compile.sh build/out/dunlin
	@exec build/out/dunlin demo

build: ## cross-compile static binaries for every board into build/out/, with version and size
	@scripts/build.sh

test: deps-test vet ## install what the tests need and run all of them, with the race detector
	@scripts/test.sh

check: vet ## the quick look before a commit: format, vet, tests without the long ones
	@go test -short ./...

deps-test: ## install the programs that tests talk to (mosquitto and its clients, a C compiler for -race)
	@scripts/test-deps.sh

vet: ## gofmt and go vet, also for the boards and for systems that are not Linux
	@scripts/vet.sh

e2e: ## only the end-to-end tests against a real mosquitto
	@go test -race -count=1 -v -run 'TestEndToEnd' ./cmd/dunlin

fuzz: ## every fuzz target for FUZZTIME (10s each)
	@LONG=$(LONG) scripts/fuzz.sh $(FUZZTIME)

interop: ## clients in Go, Python, JavaScript and C against dunlin, over every transport; RACE=1
	@scripts/interop.sh

vuln: ## known vulnerabilities in what dunlin calls (needs vuln.go.dev, or VULNDB=file:///copy)
	@scripts/vuln.sh

chips: ## every chip driver at CHIP_POINTS=2000 random points of its chip's model; PATTERNS=300000 for lines against package regexp
	@CHIP_POINTS=$${CHIP_POINTS:-2000} go test -count=1 -run TestChipsReturnWhatIsThere ./sensors/drivers
	@PATTERNS=$${PATTERNS:-300000} go test -count=1 -run TestRandomPatterns ./sensors/drivers/pattern

bench: ## compare with mosquitto and mochi; ROUNDS=5 SCALE=1 SCENARIOS="..." BROKER='name=command'
	@scripts/bench.sh

bench-smoke: ## a short run of the benchmark: nothing lost, doubled or out of order
	@scripts/bench-smoke.sh

spec: ## list what MQTT 5.0, 3.1.1 and 3.1 ask of a server, and demand a test for each
	@go run ./scripts/spec

soak: ## random clients and devices against a model for SOAK (10m): loss, doubles, order, wills, old values, leaks
	@scripts/compile.sh build/out/dunlin
	@go run ./scripts/soak -time $(SOAK) -binary build/out/dunlin
	@scripts/nats.sh && SOAK=$(SOAK) go test -count=1 -run TestNATSClusterSoak ./bridge

spec-mutants: ## break the server in many ways; a test that names the broken statement must fail
	@go run ./scripts/mutants

abuse: ## the attacks of TestAbuse at full size against the real program, then all at once in 56 MiB (a run of the tests makes fewer)
	@ABUSE=full go test -count=1 -timeout 30m -run 'TestAbuse|TestSmallBoard' ./cmd/dunlin

crash: crash-store damage ## power cuts, failures and damage of the disk under the store, a clock that is set: CRASH_STATES=20000 CRASH_FAULTS=40 DAMAGE=3 SWEEP=150 SECTORS=1 (or minutes of real time: 2m)

.PHONY: crash-store damage
crash-store: ## of crash, what knows no clock but that of its test
	@CRASH_STATES=$(or $(CRASH_STATES),20000) CRASH_FAULTS=$(or $(CRASH_FAULTS),40) go test -count=1 -timeout 60m -v -run 'Crash|Failures|Damage|Cut|Newer|Full|Outlives' ./broker/internal/store/...
	@SECTORS=$(or $(SECTORS),1) go test -count=1 -timeout 60m -v -run TestSectors ./broker/internal/store
	@SWEEP=$(or $(SWEEP),150) go test -count=1 -timeout 30m -run TestFaultSweep ./broker
	@CRASH_STATES=4000 go run ./scripts/mutants -list crash.txt

damage: ## of crash, what starts the real program: each kind of file harmed in each way, DAMAGE=3 times, and a clock that is set
	@DAMAGE=$(or $(DAMAGE),3) go test -count=1 -parallel 4 -timeout 60m -v -run TestDamage ./cmd/dunlin
	@scripts/clockstep.sh

.PHONY: powercut
powercut: ## power cuts of an emulated machine with dunlin under MQTT load, from a record of its disk: STATES=300
	@scripts/powercut.sh

outage: drain ## as drain, and local messages while the server upstream fails: LATENCY=400
	@LATENCY=$(or $(LATENCY),400) go test -count=1 -timeout 10m -v -run TestLocalMessagesDoNot ./cmd/dunlin

.PHONY: drain
drain: ## 100,000 messages queued over a cut, and kills of both sides while they drain, at AWS's limits too: OUTAGE=100000 DRAIN=100000
	@OUTAGE=$(or $(OUTAGE),100000) go test -count=1 -timeout 60m -v -run TestOutage ./cmd/dunlin
	@DRAIN=$(or $(DRAIN),100000) go test -count=1 -timeout 60m -v -run TestB14 ./bridge

.PHONY: polling
polling: ## what 100 devices of each driver cost, read once a second: POLLING=8 seconds each, POLLED='lines|modbus' of some
	@POLLING=$(or $(POLLING),8) CGO_ENABLED=0 go test -count=1 -v -timeout 30m -run 'TestPolling$$/^($(or $(POLLED),.*))$$' ./cmd/dunlin

kill: ## kill the program while clients and a bridge are at work, KILL_CYCLES=100 times
	@KILL_CYCLES=$(or $(KILL_CYCLES),100) KILL_DEVICES=$(or $(KILL_DEVICES),200) OUTPUT_CLIENTS=1000 go test -count=1 -timeout 60m -v -run 'TestKilled|TestOutputsUnderLoad' ./cmd/dunlin

.PHONY: replug
replug: ## a serial device unplugged and replugged REPLUG=1000 times beside 1,500 sockets, under the race detector
	@REPLUG=$(or $(REPLUG),1000) go test -race -count=1 -timeout 30m -v -run 'TestLinesReplugCycles' ./sensors/drivers

.PHONY: backlog
backlog: ## an outage of BACKLOG=5000000 messages of 200 bytes (1 GB): memory, start, order, disk given back
	@BACKLOG=$(or $(BACKLOG),5000000) go test -count=1 -timeout 60m -v -run TestBacklog ./broker

.PHONY: page browser
page: ## build the web page from ui/ into cmd/dunlin/internal/page/dist (needs npm)
	@scripts/page.sh

browser: ## the page in a real browser against the real program: every page, journeys, accessibility, weight
	@scripts/browser.sh

board: ## dunlin's ARMv7 program on emulated boards (QEMU, Debian's kernel): BOARDS="ast2600 virt sabrelite"
	@scripts/board.sh $(BOARDS)

.PHONY: arm
arm: ## short tests as ARMv6 programs, whose int has 32 bits (qemu-user): PACKAGES='./broker ./bridge ./config'
	@scripts/test-deps.sh release
	@GOARCH=arm GOARM=6 CGO_ENABLED=0 go test -exec qemu-arm-static -short -skip TestServerKilled $(or $(PACKAGES),./broker ./bridge ./config)
	@GOARCH=arm GOARM=6 CGO_ENABLED=0 go test -exec qemu-arm-static -run TestSizesBeyond32Bits ./cmd/dunlin

.PHONY: image-net
image-net: ## the image's DHCP, NTP and mDNS against dnsmasq, chrony and zeroconf in namespaces; needs root
	@scripts/image-net.sh

.PHONY: image
image: ## the flashable card of BOARD=rpi (Pi 3, 4, 5, Zero 2 W) or pizero (Pi 1, Zero), into build/out/image/
	@scripts/test-deps.sh image
	@cd build/image && go run . -board $(or $(BOARD),rpi)

.PHONY: deb-test
deb-test: ## the release's .deb on an emulated arm64 machine with Debian and systemd: install, upgrade, kill, purge, first value
	@scripts/deb.sh

.PHONY: image-test
image-test: ## make both images, the same bytes each time, and boot them in QEMU: a password, values, power cuts, a broken card
	@scripts/image-test.sh

.PHONY: update-test
update-test: ## update the image in QEMU: trial, commit, a broken update, CUTS=200 power cuts of which BOOTS=3 are booted; IMAGE=built NETWORK=1 sends the large ones too
	@IMAGE=$(IMAGE) CUTS=$(CUTS) BOOTS=$(BOOTS) NETWORK=$(NETWORK) scripts/update-test.sh

fresh: ## clone into an empty folder, 'make run' there, and read it with mosquitto_sub
	@scripts/fresh.sh

release: ## binaries, packages, container image, licences and checksums of this commit, in build/out/release/
	@scripts/test-deps.sh release
	@scripts/release.sh

release-check: ## make a release twice and look it over: it starts on every architecture, and is the same bytes
	@scripts/release-check.sh

install: ## install dunlin into DESTDIR/usr/bin
	@scripts/compile.sh build/out/dunlin
	@install -D -m 0755 build/out/dunlin '$(DESTDIR)/usr/bin/dunlin'

clean: ## remove what was built
	@rm -rf build/out

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
