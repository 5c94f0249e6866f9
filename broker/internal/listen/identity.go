package listen

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxUser is the longest user name that a certificate can give, in bytes.
const maxUser = 256

// certificateUser returns the user name that a client certificate stands for:
// its subject's common name (cn), its first alternative name - DNS, else
// e-mail, else URI - (san), or the SHA-256 of the certificate in hexadecimal
// (fingerprint).
func certificateUser(c *x509.Certificate, identity string) (string, error) {
	var user string
	switch identity {
	case "fingerprint":
		sum := sha256.Sum256(c.Raw)
		return hex.EncodeToString(sum[:]), nil
	case "san":
		switch {
		case len(c.DNSNames) > 0:
			user = c.DNSNames[0]
		case len(c.EmailAddresses) > 0:
			user = c.EmailAddresses[0]
		case len(c.URIs) > 0:
			user = c.URIs[0].String()
		default:
			return "", errors.New("the certificate has no alternative name")
		}
	default:
		user = c.Subject.CommonName
	}
	return user, validUser(user)
}

// validUser refuses names that would mean more than a name in a log, a file or
// a Topic Filter.
func validUser(user string) error {
	switch {
	case user == "":
		return errors.New("the certificate names nobody")
	case len(user) > maxUser:
		return fmt.Errorf("the certificate's name has %d bytes, more than %d", len(user), maxUser)
	case !utf8.ValidString(user) || strings.ContainsFunc(user, unicode.IsControl) || strings.ContainsAny(user, "#+\uFFFD"):
		return fmt.Errorf("the certificate's name %q is not for a user: control characters, '#' and '+' are not allowed", user)
	}
	return nil
}
