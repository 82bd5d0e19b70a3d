//go:build !system

package blob

import "testing"

// others are services that others made: none without the build tag system.
var others map[string]func(t *testing.T) service
