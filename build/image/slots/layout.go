package slots

// Sector is the unit of everything below.
const Sector = 512

// Partition is one entry of the card's table.
type Partition struct {
	Number  int // from 1, as in mmcblk0pN and the firmware's boot_partition
	Start   int64
	Sectors int64
	Type    byte // of the MBR
	Label   string
}

const mib = 1 << 20 / Sector

// The four partitions of a card with two slots. A card with one slot has no
// SlotB; its /data is partition 4 all the same.
var (
	Selector = Partition{1, 1 * mib, 16 * mib, 0x0e, "DUNLIN"} // autoboot.txt, bootcode.bin, and the user's files
	SlotA    = Partition{2, 17 * mib, 64 * mib, 0x0c, "SLOT-A"}
	SlotB    = Partition{3, 81 * mib, 64 * mib, 0x0c, "SLOT-B"}
	Data     = Partition{4, 145 * mib, 64 * mib, 0x83, "data"} // ext4 of 4096-byte blocks, grown at the first boot
)

// DiskID is the card's signature in its MBR.
const DiskID = 0x6e6c7564

// Bytes is the partition's size in bytes.
func (p Partition) Bytes() int64 { return p.Sectors * Sector }

// Offset is where it starts on the card, in bytes.
func (p Partition) Offset() int64 { return p.Start * Sector }
