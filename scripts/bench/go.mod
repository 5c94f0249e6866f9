module github.com/dunlin-mqtt/dunlin/scripts/bench

go 1.26
