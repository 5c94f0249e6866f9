package main

import (
	"errors"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/emulator"
)

// playRaspi0 is the way of a user who puts nothing on the card.
func playRaspi0(c *card) {
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
	_, err := retained(address, "admin", password, "dunlin/+/host/uptime")
	c.check("values of the board are there", err)
}
