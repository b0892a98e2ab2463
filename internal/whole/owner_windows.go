package whole

import "os"

// keepOwner: a file here has the rights of its folder.
func keepOwner(*os.File, string) error { return nil }
