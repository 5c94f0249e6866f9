package main

import "os"

// configPath says which configuration file to use: the -c flag, then
// $DUNLIN_CONFIG, then /etc/dunlin/dunlin.yaml, then ./dunlin.yaml. A file
// that was named is returned also when it does not exist, so that opening it
// gives the error; found is false only when nothing was named and no default
// file exists.
func configPath(flag string) (path string, found bool) {
	if flag != "" {
		return flag, true
	}
	if named := os.Getenv("DUNLIN_CONFIG"); named != "" {
		return named, true
	}
	for _, path := range []string{"/etc/dunlin/dunlin.yaml", "dunlin.yaml"} {
		if _, err := os.Stat(path); err == nil || !os.IsNotExist(err) {
			return path, true // unreadable is a reason to complain, not to skip
		}
	}
	return "", false
}
