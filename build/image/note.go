package main

// cardNote is README.txt on the drive DUNLIN.
const cardNote = "dunlin, an MQTT gateway\r\n\r\n" +
	"Files that you may put here before the card goes into the board, or later;\r\n" +
	"they are read at every start:\r\n\r\n" +
	"  dunlin.yaml    the configuration, with the certificates it names beside it\r\n" +
	"                 (.pem, .crt, .key, .json), and what it includes (.yaml,\r\n" +
	"                 in conf.d too). A wrong one is not taken.\r\n" +
	"  password.txt   a password for the user admin, or NAME:PASSWORD in a line.\r\n" +
	"                 It is erased from the card when it was read.\r\n" +
	"  wifi.txt       ssid=NAME, passphrase=WORDS, country=DE, a line each\r\n" +
	"  network.txt    address=192.168.1.50/24, router=..., dns=...: instead of DHCP\r\n" +
	"  hostname.txt   the board's name, otherwise dunlin- and four digits\r\n\r\n" +
	"Files that dunlin writes here:\r\n\r\n" +
	"  dunlin-password.txt   the password it made up, if you gave none\r\n" +
	"  dunlin-errors.txt     what is wrong, if something is\r\n" +
	"  dunlin-log.txt        put an empty file of this name here, and dunlin\r\n" +
	"                        writes its log into it for some minutes\r\n\r\n" +
	"Leave autoboot.txt and bootcode.bin as they are. Licences and where the\r\n" +
	"source is: the folder licences on the drive SLOT-A.\r\n"
