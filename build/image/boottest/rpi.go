package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/emulator"
	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

const usersConfig = `
node: barn
include: [conf.d/*.yaml]
data_dir: /var/lib/dunlin
mqtt: {listeners: [{bind: ":1883"}]}
auth:
  users_file: users
  rules: [{user: carol, publish: ["#"], subscribe: ["#", "$SYS/#"]}]
store: {durability: always}
gateway: {defaults: {interval: 1s}}
bridges:
  here:
    servers: ["mqtt://10.0.2.2:%d"]
    status_topic: "sites/barn/status"
    out: [{from: "dunlin/{node}/#", to: "sites/{node}/#"}]
`

const secret = "curlew-whimbrel-godwit"

// playRaspi3 is a user's way: files on the card, power, values; then a plug
// pulled, a mistake in the configuration, and a card that gives no /data.
func playRaspi3(c *card) {
	host, err := startMosquitto(c.dir)
	if !c.check("a broker starts here", err) {
		return
	}
	defer host.stop()
	if err := c.usersFiles(host.port); err != nil {
		c.check("the user's files are put on the card", err)
		return
	}
	if c.firstStart(host.port) && c.startWithMistake() && c.startWithHarmedData("the data partition is harmed", c.harmData) && c.startWithHarmedData("its first superblock is gone", c.loseSuperblock) {
		c.startWithoutData()
	}
}

// usersFiles puts a configuration on the card that bridges to a port of this
// machine, a password, a name, and network.txt with a mistake.
func (c *card) usersFiles(port int) error {
	if err := c.folder("conf.d"); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"conf.d/host.yaml": "devices: [{name: host, driver: system}]\n",
		"dunlin.yaml":      fmt.Sprintf(usersConfig, port), "password.txt": "carol:" + secret + "\r\n", "hostname.txt": "Barn\n", "network.txt": "adress = 10.0.2.77/24\n",
	} {
		if err := c.put(name, text); err != nil {
			return err
		}
	}
	return nil
}

func (c *card) firstStart(port int) (ok bool) {
	start := time.Now()
	if !c.power(emulator.Raspi3) {
		return false
	}
	defer c.cut()
	address := c.m.Address(1883)
	c.becomes("an MQTT server answers", func() error { return answers(address) })
	fmt.Printf("   %5.1f s from power to CONNACK\n", time.Since(start).Seconds())
	c.becomes("the user is let in", func() error { return lets(address, "carol", secret) })
	fmt.Println("   " + strings.Join(c.m.Lines("init "), "\n   "))
	c.becomes("values are retained at the broker here", func() error {
		_, err := retained(fmt.Sprintf("127.0.0.1:%d", port), "", "", "sites/barn/host/uptime")
		return err
	})
	c.check("nobody is let in with a wrong password", refuses(address, "carol", "wrong"))
	c.check("the password is erased from the card", c.erased())
	c.becomes("a mistake in network.txt is told on the card, and DHCP goes on", func() error {
		text, err := c.get("dunlin-errors.txt")
		if err == nil && !strings.Contains(text, "network.txt:1: \"adress\"") {
			err = errors.New(text)
		}
		return err
	})
	c.check("/data has grown to the card's end", c.m.Says("/data: 35", time.Minute))
	c.check("the board has the user's name", c.m.Says("this is barn", time.Minute))
	c.check("mDNS tells what the network reaches, not the page of this machine alone", c.m.Says("answering for barn.local: _mqtt._tcp 1883\n", time.Minute))
	c.check("dunlin runs without rights", c.m.Says("as user 900", time.Minute))
	c.check("a message is acknowledged", publish(address, "carol", secret, "kept", "over a power cut"))
	return true
}

func (c *card) startWithMistake() (ok bool) {
	c.check("a configuration with a mistake is put on the card", c.put("dunlin.yaml", "mqtt: {listeners: [{bind: \":1883\", anonymos: true}]}\n"))
	if !c.power(emulator.Raspi3) {
		return false
	}
	defer c.cut()
	address := c.m.Address(1883)
	c.becomes("after the power cut the user is let in, by the configuration before", func() error { return lets(address, "carol", secret) })
	value, err := retained(address, "carol", secret, "kept")
	if err == nil && value != "over a power cut" {
		err = errors.New(value)
	}
	c.check("what was acknowledged is there", err)
	text, err := c.get("dunlin-errors.txt")
	if err == nil && !(strings.Contains(text, "dunlin.yaml:1:") && strings.Contains(text, "anonymos")) {
		err = errors.New(text)
	}
	c.check("the card says what is wrong with it", err)
	c.becomes("so does MQTT", func() error {
		text, err := retained(address, "carol", secret, "$SYS/dunlin/board/problems")
		if err == nil && !strings.Contains(text, "anonymos") {
			err = errors.New(text)
		}
		return err
	})
	return true
}

func (c *card) startWithHarmedData(how string, harm func() error) (ok bool) {
	c.check(how, harm())
	if !c.power(emulator.Raspi3) {
		return false
	}
	defer c.cut()
	address := c.m.Address(1883)
	c.becomes("with a /data that can only be read the user is let in", func() error { return lets(address, "carol", secret) })
	return true
}

func (c *card) startWithoutData() {
	c.check("the data partition is destroyed", c.destroyData())
	c.check("a password is put on the card, as an old editor saves it", c.put("password.txt", "\xff\xfe"+strings.Join(strings.Split(secret, ""), "\x00")+"\x00"))
	if !c.power(emulator.Raspi3) {
		return
	}
	address := c.m.Address(1883)
	c.becomes("it starts without /data", func() error { return lets(address, "admin", secret) })
	text, err := c.get("dunlin-errors.txt")
	if err == nil && !strings.Contains(text, "in memory only") {
		err = errors.New(text)
	}
	c.check("and says on the card that nothing is kept", err)
}

// erased looks for the password in every byte of the drive DUNLIN.
func (c *card) erased() error {
	if _, err := c.get("password.txt"); err == nil {
		return errors.New("password.txt is still there")
	}
	f, err := os.Open(c.file())
	if err != nil {
		return err
	}
	defer f.Close()
	drive := make([]byte, slots.Selector.Bytes())
	if _, err := f.ReadAt(drive, slots.Selector.Offset()); err != nil {
		return err
	}
	if bytes.Contains(drive, []byte(secret)) {
		return errors.New("its bytes are still there")
	}
	return nil
}

// harmData overwrites the first map of free blocks, so that nothing can be
// written.
func (c *card) harmData() error {
	f, err := os.OpenFile(c.file(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	// The superblock, then the descriptors of the groups, each with where its map is.
	var at [4]byte
	if _, err := f.ReadAt(at[:], slots.Data.Offset()+blockSize); err != nil {
		return err
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{0x5a}, blockSize), slots.Data.Offset()+blockSize*int64(binary.LittleEndian.Uint32(at[:]))); err != nil {
		return err
	}
	return f.Close()
}

const blockSize = 4096 // of /data's file system

// loseSuperblock overwrites the first block of /data's file system; destroyData
// its directories, too.
func (c *card) loseSuperblock() error { return c.zeroData(blockSize) }
func (c *card) destroyData() error    { return c.zeroData(1 << 20) }

func (c *card) zeroData(bytes int) error {
	f, err := os.OpenFile(c.file(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(make([]byte, bytes), slots.Data.Offset()); err != nil {
		return err
	}
	return f.Close()
}
