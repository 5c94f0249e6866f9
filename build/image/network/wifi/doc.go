// Package wifi joins the wireless network that wifi.txt names: WPA2 and WPA3
// personal, and open ones, through the kernel's nl80211.
//
// The radio does the handshakes itself (NL80211_EXT_FEATURE_4WAY_HANDSHAKE_STA_PSK,
// SAE_OFFLOAD), as those of Raspberry Pi boards can (brcmfmac): it is given the
// key, and there is no supplicant here. Another radio is refused with a reason.
//
//	config    wifi.txt
//	bss       what a scan found, and which of it to join
//	station   scan, join, stay, join again: Run
//	socket    nl80211 itself, by generic netlink; a fake in tests
//	modules   the kernel modules and firmware files that the boards' radios need
//
// Not covered by emulation: no emulated board has this radio. The tests talk
// to a scripted kernel, in the bytes of its messages.
package wifi
