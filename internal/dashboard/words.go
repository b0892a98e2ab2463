package dashboard

import (
	"fmt"
	"net/http"
	"strings"
)

const languageCookie = "glassq-lang"

// languageOf tells whether the visitor reads Chinese: as the query lang says, which is remembered,
// else as the browser does.
func languageOf(rw http.ResponseWriter, r *http.Request) bool {
	lang := r.URL.Query().Get("lang")
	if lang == "zh" || lang == "en" {
		http.SetCookie(rw, &http.Cookie{Name: languageCookie, Value: lang, Path: "/", HttpOnly: true,
			SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil, MaxAge: 365 * 24 * 3600})
		return lang == "zh"
	}
	if c, err := r.Cookie(languageCookie); err == nil {
		return c.Value == "zh"
	}
	for first := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		switch tag := strings.ToLower(strings.TrimSpace(first)); {
		case strings.HasPrefix(tag, "zh"):
			return true
		case strings.HasPrefix(tag, "en"):
			return false
		}
	}
	return false
}

// Lang is the language of the page, for its html element.
func (v *visit) Lang() string {
	if v.chinese {
		return "zh-Hans"
	}
	return "en"
}

// T is text in the language of the visitor, with args as fmt has them. Text that is not in the
// table stays English.
func (v *visit) T(text string, args ...any) string {
	if v.chinese {
		if zh, ok := chinese[text]; ok {
			text = zh
		}
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// Count is a number and what it counts, in the form that fits and in the language of the visitor.
// The table has the Chinese by the form for many.
func (v *visit) Count(n any, one, many string) string {
	if text := num(n); v.chinese || text != "1" {
		return v.T("%s "+many, text)
	}
	return "1 " + one
}

// chinese are the texts of the pages by their English.
var chinese = map[string]string{
	"%d paused":                      "%d 个已暂停",
	"%s ago":                         "%s前",
	"%s in %s":                       "%[2]s中有 %[1]s",
	"%s dead tasks":                  "%s 个死任务",
	"%s tasks":                       "%s 个任务",
	"%s leases":                      "%s 个租约",
	"%s free":                        "可用 %s",
	"%s more queues":                 "还有 %s 个队列",
	"%s of %s have an outcome":       "%[2]s 个中 %[1]s 个已有结果",
	"%s of them by nobody known":     "其中 %s 个持有者未知",
	"%s queues":                      "%s 个队列",
	"%s looked through.":             "已查看 %s。",
	"%s waiting":                     "%s 个待取",
	"%s working now, %s in flight":   "%s 个正在工作，%s未结束",
	"%s/s":                           "%s/秒",
	"%s/s at most":                   "最多 %s/秒",
	"15 minutes":                     "15 分钟",
	"24 hours":                       "24 小时",
	"30 days":                        "30 天",
	"As a table":                     "以表格显示",
	"Back to the page":               "返回页面",
	"Before":                         "上一页",
	"Body":                           "内容",
	"Books":                          "账目",
	"By":                             "排序",
	"Cancel":                         "取消",
	"Cancel the run":                 "取消该批次",
	"Change":                         "更改",
	"Charts":                         "图表",
	"Charts of the last":             "图表范围：最近",
	"Dead":                           "死任务",
	"Dead:":                          "死任务：",
	"Delete":                         "删除",
	"Delete the dead tasks":          "删除死任务",
	"Delete the dead tasks that fit": "删除符合条件的死任务",
	"Delete the task":                "删除该任务",
	"Deleted of those that fit: %s":  "符合条件的已删除：%s",
	"Do":                             "操作",
	"Failures by class":              "按类别的失败",
	"Its delayed and ready tasks end; leased ones finish.": "延迟和就绪的任务将结束；已租出的会做完。",
	"Key or token":                           "密钥或令牌",
	"Last asked by %s at":                    "最近一次请求来自 %s，时间",
	"Latencies, 99 of 100 below":             "延迟（百分之九十九低于）",
	"Log in":                                 "登录",
	"Log out":                                "退出登录",
	"Most attempts; 0 is the default":        "最多尝试次数；0 为默认值",
	"Most bytes; 0 is no limit":              "最多字节数；0 为不限",
	"Most hand-outs a second; 0 is no limit": "每秒最多发出数；0 为不限",
	"Most tasks; 0 is no limit":              "最多任务数；0 为不限",
	"Name has":                               "名称包含",
	"Next":                                   "下一页",
	"No queue fits. A queue is made by its first use.": "没有符合的队列。队列在首次使用时创建。",
	"No run fits.":  "没有符合的批次。",
	"No task fits.": "没有符合的任务。",
	"Nobody has asked for its tasks since the server began.": "服务器启动以来无人请求其任务。",
	"Nobody was here since the server began.":                "服务器启动以来无人来过。",
	"None.":                              "无。",
	"Not done":                           "未执行",
	"Not live.":                          "非实时。",
	"Nothing is dead.":                   "没有死任务。",
	"Nothing waits and nothing is dead.": "没有等待中的任务，也没有死任务。",
	"Of %s of them, as far as this server has seen the run.": "其中 %s 个，即本服务器所见的部分。",
	"From hand-out to ack":              "从发出到确认",
	"from hand-out to ack":              "从发出到确认",
	"half below":                        "一半低于",
	"99 of 100 below":                   "百分之九十九低于",
	"half below %s, 99 of 100 below %s": "一半低于 %s，百分之九十九低于 %s",
	"Overview":                          "概览",
	"Page %d of %d":                     "第 %d 页，共 %d 页",
	"Pages":                             "页面",
	"Pages of the list":                 "列表分页",
	"Pause":                             "暂停",
	"Positions without an outcome":      "尚无结果的位置",
	"Purge":                             "清除",
	"Queue":                             "队列",
	"Queues":                            "队列",
	"Rate and limits":                   "速率与限制",
	"Read-only: nothing can be changed here.": "只读：此处不能更改任何内容。",
	"Reason has":         "原因包含",
	"Redrive":            "重新投递",
	"Redriven: %s of %s": "已重新投递：%s / %s",
	"Resume":             "恢复",
	"Runs":               "批次",
	"Schedule of rates, such as 0..5000/30s,5000/1m": "速率计划，例如 0..5000/30s,5000/1m",
	"Seconds of the schedule to catch up with":       "可追赶的计划秒数",
	"Show":                "显示",
	"Skip to the content": "跳到正文",
	"State":               "状态",
	"Task":                "任务",
	"Tasks":               "任务",
	"Tasks a second":      "每秒任务数",
	"The key is right, but the browser did not keep the cookie; allow cookies for this address.": "密钥正确，但浏览器没有保存 Cookie；请允许此地址使用 Cookie。",
	"The oldest": "最早的",
	"The server was stopped; this page goes on when it runs again.": "服务器已停止；恢复运行后本页会继续更新。",
	"The server does not answer; trying again.":                     "服务器没有响应，正在重试。",
	"The storage is %s: puts are refused until there is room.":      "存储%s：有空间之前拒绝新任务。",
	"This key is none of this server's.":                            "此密钥不属于本服务器。",
	"Type the name %s to confirm":                                   "输入名称 %s 以确认",
	"What wants a look":                                             "需要关注",
	"Which tasks; leased ones finish":                               "哪些任务；已租出的会做完",
	"Who holds leases":                                              "租约持有者",
	"With":                                                          "含有",
	"Workers":                                                       "工作者",
	"You are not logged in any more. Nothing was changed.":          "登录已失效。未作任何更改。",
	"about %s left":                                                 "约剩 %s",
	"ack, p99":                                                      "确认，p99",
	"ack":                                                           "确认",
	"age":                                                           "存在时间",
	"and %s more":                                                   "另有 %s 个",
	"anything":                                                      "任意",
	"attempts":                                                      "尝试次数",
	"began":                                                         "开始",
	"body":                                                          "内容",
	"books":                                                         "账目",
	"cancelled":                                                     "已取消",
	"class":                                                         "类别",
	"complete":                                                      "已完成",
	"complete, results wait":                                        "已完成，结果待取",
	"dead":                                                          "死",
	"delayed":                                                       "延迟",
	"door":                                                          "入口",
	"due in":                                                        "距到期",
	"expired":                                                       "已过期",
	"failed":                                                        "失败",
	"full":                                                          "已满",
	"handed out":                                                    "发出",
	"hex":                                                           "十六进制",
	"in":                                                            "进",
	"in/s":                                                          "进/秒",
	"json":                                                          "JSON",
	"key":                                                           "键",
	"halted":                                                        "已叫停",
	"last seen":                                                     "最近出现",
	"leased":                                                        "已租出",
	"leases":                                                        "租约",
	"live":                                                          "实时",
	"low":                                                           "不足",
	"nacked":                                                        "被退回",
	"name":                                                          "名称",
	"nobody asks":                                                   "无人请求",
	"number":                                                        "编号",
	"ok":                                                            "成功",
	"oldest":                                                        "最久",
	"oldest ready":                                                  "最久就绪",
	"for example":                                                   "例如",
	"not sealed":                                                    "未封",
	"open":                                                          "开放",
	"out":                                                           "出",
	"out of attempts":                                               "次数用尽",
	"out/s":                                                         "出/秒",
	"paused":                                                        "已暂停",
	"priority":                                                      "优先级",
	"purged":                                                        "已清除",
	"progress":                                                      "进度",
	"put":                                                           "放入",
	"put, p50 and p99":                                              "放入，p50 与 p99",
	"Schedules":                                                     "定时任务",
	"No schedule is set.":                                           "没有定时任务。",
	"schedule":                                                      "定时任务",
	"times":                                                         "时间",
	"zone":                                                          "时区",
	"last":                                                          "上次",
	"next":                                                          "下次",
	"missed":                                                        "错过",
	"queue":                                                         "队列",
	"queues":                                                        "队列",
	"ready":                                                         "就绪",
	"reason":                                                        "原因",
	"reserve":                                                       "租取",
	"keys halted":                                                   "有键已叫停",
	"Keys with ready tasks: %s; held %s, halted %s, at their concurrency %s, at their rate %s": "有就绪任务的键：%s；被扣留 %s，已叫停 %s，并发已满 %s，限速中 %s",
	"Over the life of the run": "整个批次期间",
	"tasks":                    "任务",
	"results":                  "结果",
	"results taken by":         "结果取走者",
	"retry of":                 "重试自",
	"run":                      "批次",
	"sealed":                   "已封",
	"silent":                   "无声",
	"size":                     "大小",
	"state":                    "状态",
	"storage":                  "存储",
	"sync, p99":                "同步，p99",
	"sync":                     "同步",
	"task":                     "任务",
	"text":                     "文本",
	"the first %s are shown":   "显示前 %s",
	"time":                     "时间",
	"type":                     "类型",
	"unnamed":                  "未命名",
	"up":                       "已运行",
	"owner":                    "所有者",
	"this gateway":             "本网关",
	"nobody":                   "无",
	"epoch %d":                 "第 %d 任",
	"replicas":                 "副本",
	"in step":                  "同步",
	"%s behind":                "落后 %s",
	"led by %s":                "主节点 %s",
	"Rates, times and workers are those of this gateway, %s; what is stored is told by the owner.": "速率、时间和工作者属于本网关 %s；存储内容由所有者告知。",
	"These are the workers that call this gateway, %s; each gateway knows its own.":                "这些是调用本网关 %s 的工作者；每个网关只知道自己的。",
	"up to 1,000; empty for all": "至多 1,000；留空为全部",
	"version":                    "版本",
	"waiting calls":              "等待的请求",
	"worker":                     "工作者",
	"workers":                    "工作者",
	"waited, mean":               "平均等待",
	"late, mean":                 "平均延迟",
	"The schedule is paused: it puts nothing.":    "计划已暂停：不会放入任务。",
	"The schedule goes on.":                       "计划已恢复。",
	"The settings are changed.":                   "设置已更改。",
	"The queue is paused: nothing is handed out.": "队列已暂停：不发出任何任务。",
	"The queue goes on.":                          "队列已恢复。",
	"%s purged.":                                  "已清除 %s。",
	"%s ready again.":                             "%s重新就绪。",
	"Dead tasks are made ready again; this page shows how far that is.": "正在重新投递死任务；此页显示进度。",
	"Dead tasks are deleted; this page shows how far that is.":          "正在删除死任务；此页显示进度。",
	"This is about all dead tasks that fit, on this page and others.":   "以下操作针对所有符合条件的死任务，包括其他页上的。",
	"Run":                            "批次",
	"Redriven of those that fit: %s": "符合条件的已重新投递：%s",
	"The run is cancelled; %s ended with it.": "批次已取消；%s随之结束。",
}
