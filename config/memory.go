package config

// Memory bounds the program. Zero is auto: from the cgroup or the machine.
type Memory struct {
	Limit  Size `yaml:"limit" also:"auto" min:"8MiB" doc:"all memory of the process; 0 is auto: what the cgroup or the machine allows" ex:"40MiB"`
	Budget Size `yaml:"budget" also:"auto" min:"1MiB" doc:"what clients may make the gateway hold; 0 is auto" ex:"16MiB"`
}

func (m *Memory) check(l *loader) {
	if m.Limit > 0 && m.Budget >= m.Limit {
		l.failIf("must be smaller than memory.limit", "memory.budget", "", "budget %s")
	}
}
