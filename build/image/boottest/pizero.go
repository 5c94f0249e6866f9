package main

import (
	"errors"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/emulator"
)

const portsConfig = `
mqtt: {listeners: [{bind: ":1883"}]}
auth: {users_file: users, admins: [admin], rules: [{user: admin, publish: ["#"], subscribe: ["#"]}]}
http: {bind: ":80"}
devices: [{name: board, driver: system}]
`

// playRaspi0 is the way of a user who gives a configuration and no password.
func playRaspi0(c *card) {
	if !c.check("a configuration is put on the card", c.put("dunlin.yaml", portsConfig)) {
		return
	}
	if !c.power(emulator.Raspi0) {
		return
	}
	address := c.m.Address(1883)
	c.becomes("nobody is let in without a password", func() error { return refuses(address, "", "") })
	c.check("/data has grown to the card's end", c.m.Says("/data: 35", time.Minute))
	var password string
	c.becomes("the made-up password is on the card", func() error {
		text, err := c.get("dunlin-password.txt")
		_, rest, _ := strings.Cut(text, "password")
		if password, _, _ = strings.Cut(strings.TrimSpace(rest), "\r\n"); err == nil && len(password) != 19 {
			err = errors.New(text)
		}
		return err
	})
	c.becomes("admin is let in with it", func() error { return lets(address, "admin", password) })
	_, err := retained(address, "admin", password, "dunlin/+/board/uptime")
	c.check("values of the device of the configuration are there", err)
}
