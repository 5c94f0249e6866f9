package config_test

import (
	"fmt"
	"os"

	"github.com/dunlin-mqtt/dunlin/config"
)

func ExampleLoad() {
	src := `mqtt:
  listeners:
    - bind: 1883
  sys_intervall: 10
`
	_, errs := config.Load("dunlin.yaml", []byte(src), config.Tables{}, os.LookupEnv)
	if err := errs.Print(os.Stdout); err != nil {
		panic(err)
	}
	fmt.Println(errs.Summary("dunlin.yaml"))
	// Output:
	// dunlin.yaml:3:13: error: bind needs host:port, or :port for all addresses
	//     3 │     - bind: 1883
	//       │             ^^^^
	//       = did you mean ":1883"?
	// dunlin.yaml:4:3: error: unknown key "sys_intervall" in mqtt
	//     4 │   sys_intervall: 10
	//       │   ^^^^^^^^^^^^^
	//       = did you mean sys_interval?
	// dunlin.yaml: 2 problems
}
