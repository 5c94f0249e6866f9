package journal

import "testing"

// TestResetKeepsLittle: what was written at once is not held until the next time.
func TestResetKeepsLittle(t *testing.T) {
	var g group
	for _, tc := range []struct {
		pages int
		kept  bool
	}{{pages: 3, kept: true}, {pages: 40}} {
		for range tc.pages {
			g.add(1, 1, make([]byte, bodySize))
		}
		g.reset(8)
		if kept := cap(g.pages) > 0; kept != tc.kept || cap(g.pages) > 8*pageSize || len(g.pages) != 0 {
			t.Errorf("%d pages: %d bytes are kept, %d in use", tc.pages, cap(g.pages), len(g.pages))
		}
	}
}
