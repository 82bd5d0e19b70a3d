//go:build system

package cli

import "testing"

// TestPlans runs the plans of the packs that TestScripts does not, and has openssl make
// the requests and verify the chains.
func TestPlans(t *testing.T) { runScripts(t, "testdata/system") }
