module github.com/dunlin-mqtt/dunlin

go 1.26.0

require (
	go.bug.st/serial v1.8.0
	golang.org/x/crypto v0.53.0
	golang.org/x/sys v0.49.0
	periph.io/x/conn/v3 v3.7.2
)
