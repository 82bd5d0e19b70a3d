package validator

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/pando-pki/pando/internal/pki"
)

// What is asked, as errors name it.
const (
	theService   = "the service"
	theDirectory = "the list of services"
	theTokens    = "the token endpoint"
)

// A statusError is an answer by a status of HTTP that is no success.
type statusError struct {
	what   string
	status int
}

func (e statusError) Error() string {
	return fmt.Sprintf("%s answered with status %d", e.what, e.status)
}

// An unreachedError is that there was no connection.
type unreachedError struct {
	what string
	error
}

func (e unreachedError) Error() string { return e.what + ": " + e.error.Error() }
func (e unreachedError) Unwrap() error { return e.error }

// An unaskedError is that the service was not asked, for want of a token or of its address.
type unaskedError struct{ error }

func (e unaskedError) Unwrap() error { return e.error }

// plain returns an error without the URL that net/http puts before it, which may hold what is
// secret.
func plain(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// kindOfFailure returns what it means that there was no verdict. A service that says it
// cannot read this request has said no to this one; all else is no answer.
func kindOfFailure(err error) pki.Kind {
	if e, ok := errors.AsType[statusError](err); ok && e.what == theService {
		switch e.status {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			return pki.Unauthenticated
		}
	}
	return pki.Unavailable
}

// ofRequest reports whether a failure may be due to the one request that was sent: the
// service saw it.
func ofRequest(err error) bool {
	_, unreached := errors.AsType[unreachedError](err)
	_, unasked := errors.AsType[unaskedError](err)
	return !unreached && !unasked
}

// A suspect is what a second try needs another of.
type suspect int

const (
	nobody suspect = iota
	serviceToken
	directoryToken
	address
)

// suspected returns what a failure says is bad. That a service answers to one request by
// anything else says nothing of the token and the address, which others use, too.
func suspected(err error) suspect {
	if e, ok := errors.AsType[unreachedError](err); ok && e.what == theService {
		return address
	}
	e, _ := errors.AsType[statusError](err)
	switch denied := e.status == http.StatusUnauthorized || e.status == http.StatusForbidden; {
	case denied && e.what == theService:
		return serviceToken
	case denied && e.what == theDirectory:
		return directoryToken
	case e.what == theService && moved(e.status):
		return address
	}
	return nobody
}

// moved reports whether a status says that what is asked for is not there.
func moved(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
		http.StatusNotFound, http.StatusGone, http.StatusMisdirectedRequest:
		return true
	}
	return false
}
