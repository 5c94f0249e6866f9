package page

import _ "embed"

//go:embed dist/index.html.gz
var index []byte

//go:embed dist/app.js.gz
var script []byte

//go:embed dist/app.css.gz
var style []byte

// Policy is the Content-Security-Policy that every file of the page is served
// with: its own script and style, nothing written into the document, no other
// site, no frame around it.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// File is one file of the page; Body is compressed with gzip.
type File struct {
	Path, Type string
	Body       []byte
	// Lasting files may be kept by browsers: index names them with the hash
	// of what they hold.
	Lasting bool
}

var files = [...]File{
	{"/", "text/html; charset=utf-8", index, false},
	{"/app.js", "text/javascript; charset=utf-8", script, true},
	{"/app.css", "text/css; charset=utf-8", style, true},
}

// Find returns the file with a path, or nil.
func Find(path string) *File {
	for i := range files {
		if files[i].Path == path {
			return &files[i]
		}
	}
	return nil
}
