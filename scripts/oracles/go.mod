module github.com/dunlin-mqtt/dunlin/scripts/oracles

go 1.26.0

require (
	github.com/dunlin-mqtt/dunlin v0.0.0
	google.golang.org/protobuf v1.36.10
	gopkg.in/yaml.v3 v3.0.1
	periph.io/x/conn/v3 v3.7.2
	periph.io/x/devices/v3 v3.7.4
	tinygo.org/x/drivers v0.37.0
)

require (
	github.com/google/shlex v0.0.0-20191202100458-e7afc7fbc510 // indirect
	go.bug.st/serial v1.8.0 // indirect
	golang.org/x/crypto v0.53.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/dunlin-mqtt/dunlin => ../..
