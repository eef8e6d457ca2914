package slowpath

import (
	"errors"
	"os"
	"path/filepath"
)

// writeFileAtomically replaces a file, or makes it: what is there at any moment,
// after a crash or a full disk too, is either the old file or the new one. It
// writes beside the file, syncs and renames. Permissions and owner stay; a link
// goes on pointing to the file, which is replaced where it is. A process that
// is killed meanwhile leaves a hidden file behind that nobody reads.
func writeFileAtomically(path string, data []byte) (err error) {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		path = to
	}
	mode := os.FileMode(0o640)
	st, statErr := os.Stat(path)
	if statErr == nil {
		mode = st.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if statErr == nil {
		keepOwner(f, st)
	}
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, derr := os.Open(filepath.Dir(path))
	if derr != nil {
		return nil //nolint:nilerr // the file is in place; only its name's durability is unknown
	}
	return errors.Join(d.Sync(), d.Close())
}
