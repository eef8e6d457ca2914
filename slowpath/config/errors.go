package config

import (
	"errors"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// Errors is what Load, Parse and FromJSON return for a configuration with
// faults: all of them in the order of the text, at most LoadOptions.MaxErrors.
type Errors struct {
	keajson.Errors
	// Warnings and NotServed are what would have been in the Snapshot.
	Warnings  []string
	NotServed []*keajson.Error
	// Loggers are the configuration's, as far as they could be read: where an
	// operator looks for what is wrong with the rest.
	Loggers []Logger
}

// Add appends the faults that err has, if it is not nil: those of an Errors or
// Error, those that are joined, or its text as a fault of the whole file.
func (e *Errors) Add(file string, err error) {
	var one *keajson.Error
	switch joined, _ := err.(interface{ Unwrap() []error }); {
	case err == nil:
	case joined != nil:
		for _, err := range joined.Unwrap() {
			e.Add(file, err)
		}
	case AsErrors(err) != nil:
		more := AsErrors(err)
		e.List = append(e.List, more.List...)
		if e.Loggers == nil {
			e.Loggers = more.Loggers
		}
	case errors.As(err, &one):
		e.List = append(e.List, one)
	default:
		e.List = append(e.List, &keajson.Error{Pos: keajson.Position{File: file}, Msg: err.Error()})
	}
}

// AsErrors returns err as *Errors, nil if it is none.
func AsErrors(err error) *Errors {
	var e *Errors
	if errors.As(err, &e) {
		return e
	}
	return nil
}
