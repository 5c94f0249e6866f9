package sensors

// DriverSpec describes a driver to whoever builds devices from a
// configuration. Option structs carry the tags `yaml:"key"`, `doc:"..."`,
// `enum:"a|b"` and `req:"1"`, and may have a method
// Validate(report func(path, msg string)), and, where a driver takes several
// types of bus, ValidateOn(busType string, report func(path, msg string)).
type DriverSpec struct {
	// Doc is one sentence for the reference.
	Doc string
	// Moves: Open moves what the driver drives, so nobody opens it to look.
	Moves bool
	// Options returns a pointer to the driver's option struct, filled with the
	// defaults. Its keys stand in the device's mapping, beside name and driver.
	Options func() any
	// Entity returns a pointer to the options that the driver takes for one
	// entity, with defaults; nil when it takes none.
	Entity func() any
	// EntityList, when it is not "", is the key under which entities may stand
	// as a list whose items have a name, as registers of a Modbus unit do; they
	// are the same as those under entities.
	EntityList string
	// New makes a driver. options is what Options returned, filled in;
	// entities holds, by entity name, what Entity returned, filled in, for the
	// entities that the configuration lists (values are nil when Entity is).
	// It touches no hardware, so that a configuration can be checked anywhere.
	New func(options any, entities map[string]any) (Driver, error)
}

// FilterSpec describes a filter to whoever builds pipelines from a
// configuration.
type FilterSpec struct {
	// Doc is one sentence for the reference.
	Doc string
	// Options returns a pointer to the filter's options with defaults. The type
	// takes the scalar form by UnmarshalText, the list form by one slice field
	// tagged `yaml:",list"`, and a mapping by its keys.
	Options func() any
	// New makes a filter with its own memory: one per entity and use. options
	// is what Options returned, filled in.
	New func(options any) (Filter, error)
}
