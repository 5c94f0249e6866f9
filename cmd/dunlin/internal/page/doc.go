// Package page is the web page of the gateway, as it is served: three files,
// compressed, that are built from ui/ by 'make page' and committed. They ask
// the HTTP API for everything, and nothing of another site.
package page
