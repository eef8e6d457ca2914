package control

import (
	"io"
	"log"
)

// discardLog swallows what net/http says about its clients.
var discardLog = log.New(io.Discard, "", 0)
