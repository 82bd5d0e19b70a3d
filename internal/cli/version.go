package cli

import (
	"fmt"
	"io"
	"runtime/debug"
)

// versionCommand is "pando version".
type versionCommand struct{}

func (versionCommand) Help() string {
	return `Examples:

    pando version
    pando version --json`
}

// buildVersion is what this program was built from.
type buildVersion struct {
	Version  string `json:"version"`            // of the module; "(devel)" for a build from a work tree
	Go       string `json:"go"`                 // version of the compiler
	Revision string `json:"revision,omitempty"` // of the version control system
	Time     string `json:"time,omitempty"`     // of the revision
	Modified bool   `json:"modified"`           // the work tree differed from the revision
}

// Run prints the version.
func (versionCommand) Run(c *console) error {
	v, err := readVersion()
	if err != nil {
		return err
	}
	return c.result(v, func(w io.Writer) error {
		revision := v.Revision
		if v.Modified {
			revision += " with changes"
		}
		t := table{}
		t.add("pando", v.Version)
		t.add("go", v.Go)
		t.add("revision", revision)
		t.add("time", v.Time)
		return t.write(w)
	})
}

func readVersion() (*buildVersion, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, fmt.Errorf("this program was built without module information")
	}
	v := &buildVersion{Version: info.Main.Version, Go: info.GoVersion}
	if v.Version == "" {
		v.Version = "(devel)"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v, nil
}
