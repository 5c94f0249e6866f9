package homeassistant

import "testing"

// Units are of classes that there are, and what is guessed from a unit fits it.
func TestUnits(t *testing.T) {
	for class := range unitsOf {
		if !in(sensorClasses, class) || in(textClasses, class) {
			t.Errorf("units of %s, which no number has", class)
		}
	}
	for unit, class := range classOfUnit {
		if ok, units := Fits(class, unit); !ok {
			t.Errorf("%s is none of %s: %q", unit, class, units)
		}
	}
	for _, c := range classOfName {
		if ok, units := Fits(c.class, c.unit); !ok {
			t.Errorf("%s is none of %s: %q", c.unit, c.class, units)
		}
	}
}
