package broker

import "github.com/glassq/glassq"

// checkHalt checks the rule by which a queue halts.
func checkHalt(c *glassq.SettingsChange) error {
	if c.Halt != nil {
		if _, err := glassq.ParseHalt(*c.Halt); err != nil {
			return err
		}
	}
	if per := c.HaltPer; per != nil && *per != "" && *per != glassq.HaltPerQueue && *per != glassq.HaltPerKey {
		return glassq.Errorf(glassq.CodeBadRequest, "halt_per %.40q is neither queue nor key", *per)
	}
	if r := c.HaltResume; r != nil && !(*r == 0 || *r >= 1 && *r <= glassq.MaxDelay.Seconds()) {
		return glassq.Errorf(glassq.CodeBadRequest, "halt_resume %v is neither 0 (not by itself) nor 1 or more seconds", *r)
	}
	return nil
}
