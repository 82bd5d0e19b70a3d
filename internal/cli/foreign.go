package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// checkOwn refuses a quickstart that the environment names and that somebody else could
// have written: it says to which server the token goes. The superuser may have; to a
// group there is often nobody but its user. Whoever names it by the flag has chosen it.
func checkOwn(dir string, user int) error {
	for _, path := range []string{dir, filepath.Join(dir, "quickstart.json")} {
		info, err := os.Stat(path)
		if err != nil {
			return nil // whoever reads it says why not
		}
		why := ""
		if of, ok := info.Sys().(*syscall.Stat_t); ok && of.Uid != 0 && int(of.Uid) != user {
			why = "is another user's"
		} else if info.Mode().Perm()&0o002 != 0 {
			why = "can be written by everybody"
		}
		if why != "" {
			return hintf(fmt.Errorf("%s, which %s names, %s, and says where your token goes", path, quickstartVariable, why), "look at it, and name the directory with --quickstart, or correct its owner and mode")
		}
	}
	return nil
}
