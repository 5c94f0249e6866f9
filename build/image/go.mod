module github.com/dunlin-mqtt/dunlin/build/image

go 1.26.0

require (
	github.com/dunlin-mqtt/dunlin v0.0.0
	github.com/gokrazy/firmware v0.0.0-20260522070551-527ce0ed43cf
	github.com/gokrazy/kernel.rpi v0.0.0-20251127164438-9778ec0261de
	golang.org/x/sys v0.49.0
)

require golang.org/x/crypto v0.53.0

replace github.com/dunlin-mqtt/dunlin => ../..
