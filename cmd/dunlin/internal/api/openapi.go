package api

import _ "embed"

// The OpenAPI document is made from the table by 'go test ./cmd/dunlin/internal/api
// -update', which fails otherwise if it is not what the table says: writing it
// at run time would take five times its size.
//
//go:embed openapi.json.gz
var document []byte

func openAPI(c *call) (any, error) {
	c.done = true
	c.replyPacked("application/json", document)
	return nil, nil
}
