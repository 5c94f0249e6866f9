package config

import "time"

// History is kept in memory for the plots of the page.
type History struct {
	Memory Size          `yaml:"memory" doc:"memory for all histories; 0 is off" ex:"2MiB"`
	Step   time.Duration `yaml:"step" min:"1s" doc:"finest spacing of points" ex:"10s"`
}

func (h *History) setDefaults() { h.Memory, h.Step = 2<<20, 10*time.Second }
