package wifi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Modules are the kernel modules of the boards' radios, in the order of
// loading, below lib/modules/VERSION. cfg80211 is built into the kernel. The
// vendors' modules come right after brcmfmac, which would otherwise ask for
// them by a program that the image does not have.
var Modules = []string{
	"kernel/drivers/net/wireless/broadcom/brcm80211/brcmutil/brcmutil.ko",
	"kernel/drivers/net/wireless/broadcom/brcm80211/brcmfmac/brcmfmac.ko",
	"kernel/drivers/net/wireless/broadcom/brcm80211/brcmfmac/wcc/brcmfmac-wcc.ko",
	"kernel/drivers/net/wireless/broadcom/brcm80211/brcmfmac/cyw/brcmfmac-cyw.ko",
}

// Firmware are the radios' files below lib/firmware, of Debian's package
// firmware-brcm80211 (non-free-firmware, 20250410-2), which may be passed on
// unchanged with its copyright file. Links of the package are files here.
//
// They serve the Pi 3B and Zero W (43430), 3A+, 3B+, 4 and 5 (43455), and those
// Zero 2 W that carry a 43430; the package has nothing for their other chip,
// the 43436.
var Firmware = []string{
	"brcm/brcmfmac43430-sdio.bin",
	"brcm/brcmfmac43430-sdio.clm_blob",
	"brcm/brcmfmac43430-sdio.raspberrypi,3-model-b.txt",
	"brcm/brcmfmac43430-sdio.raspberrypi,model-zero-w.txt",
	"brcm/brcmfmac43430-sdio.raspberrypi,model-zero-2-w.txt",
	"brcm/brcmfmac43455-sdio.bin",
	"brcm/brcmfmac43455-sdio.clm_blob",
	"brcm/brcmfmac43455-sdio.raspberrypi,3-model-a-plus.txt",
	"brcm/brcmfmac43455-sdio.raspberrypi,3-model-b-plus.txt",
	"brcm/brcmfmac43455-sdio.raspberrypi,4-model-b.txt",
	"brcm/brcmfmac43455-sdio.raspberrypi,5-model-b.txt",
}

// Load loads Modules of the running kernel from below root (/lib/modules). A
// module that is not there is left out: it may be built in.
func Load(root string) error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	dir := filepath.Join(root, unix.ByteSliceToString(name.Release[:]))
	var failed error
	for _, m := range Modules {
		f, err := os.Open(filepath.Join(dir, m))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = unix.FinitModule(int(f.Fd()), "", 0)
			f.Close() // the kernel has its copy
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			failed = errors.Join(failed, fmt.Errorf("load %s: %w", m, err))
		}
	}
	return failed
}
