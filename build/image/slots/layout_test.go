package slots

import "testing"

func TestPartitionsFollowOneAnother(t *testing.T) {
	end := int64(1 * mib)
	for i, p := range []Partition{Selector, SlotA, SlotB, Data} {
		if p.Number != i+1 || p.Start != end || p.Start%mib != 0 || p.Sectors%mib != 0 {
			t.Errorf("partition %d: %+v, want it at sector %d, whole MiB", i+1, p, end)
		}
		end = p.Start + p.Sectors
	}
}
