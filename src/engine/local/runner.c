/*
 * The parent of one job's command, as runner.sh is, for Linux: it records who the command
 * is and how it ends, whether or not a server is alive. The records are the same. A shell
 * takes 2 ms of processor time to be executed, to read its script and to fork, and 160 KB
 * of memory for as long as the job runs; this takes a fifth of both.
 *
 * It needs no C library: with one, its start would take twice as long. It is built where
 * there is a C compiler (scripts/build-runner.js); elsewhere, and for jobs that need more
 * than it can do (a terminal, input, pipes, limits by cgroup), the shell runs the job.
 *
 * Usage: runner BOOT_ID. It waits for its job, and is told the rest on its standard input: see
 * native-runner.ts. It ends where nobody is left to tell it.
 */
#include <stddef.h>
#include <stdint.h>

typedef long word;

/* ---- The kernel's interface, which never changes. ---- */

#if defined(__x86_64__)
enum { SYS_read = 0, SYS_write = 1, SYS_close = 3, SYS_fstat = 5, SYS_rt_sigprocmask = 14,
	SYS_rt_sigaction = 13, SYS_dup3 = 292, SYS_execve = 59, SYS_exit_group = 231, SYS_wait4 = 61,
	SYS_chdir = 80, SYS_getcwd = 79, SYS_umask = 95, SYS_getrusage = 98, SYS_getpriority = 140,
	SYS_setpriority = 141, SYS_unlinkat = 263, SYS_openat = 257, SYS_newfstatat = 262, SYS_faccessat = 269,
	SYS_prlimit64 = 302, SYS_mkdirat = 258, SYS_clone = 56, SYS_clone3 = 435, SYS_nanosleep = 35 };

static word call(word n, word a, word b, word c, word d, word e, word f)
{
	word result;
	register word r10 __asm__("r10") = d;
	register word r8 __asm__("r8") = e;
	register word r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(result)
		: "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		: "rcx", "r11", "memory");
	return result;
}

/* The stack pointer at the start points to the number of arguments. */
__asm__(".globl _start\n_start:\n\txor %ebp,%ebp\n\tmov %rsp,%rdi\n\tand $-16,%rsp\n\tcall run\n");

/* Of struct stat: st_dev and st_ino are its first two words. */
enum { STAT_BYTES = 144, STAT_MODE = 24 };
#elif defined(__aarch64__)
enum { SYS_read = 63, SYS_write = 64, SYS_close = 57, SYS_fstat = 80, SYS_rt_sigprocmask = 135,
	SYS_rt_sigaction = 134, SYS_dup3 = 24, SYS_execve = 221, SYS_exit_group = 94, SYS_wait4 = 260,
	SYS_chdir = 49, SYS_getcwd = 17, SYS_umask = 166, SYS_getrusage = 165, SYS_getpriority = 141,
	SYS_setpriority = 140, SYS_unlinkat = 35, SYS_openat = 56, SYS_newfstatat = 79, SYS_faccessat = 48,
	SYS_prlimit64 = 261, SYS_mkdirat = 34, SYS_clone = 220, SYS_clone3 = 435, SYS_nanosleep = 101 };

static word call(word n, word a, word b, word c, word d, word e, word f)
{
	register word x8 __asm__("x8") = n;
	register word x0 __asm__("x0") = a;
	register word x1 __asm__("x1") = b;
	register word x2 __asm__("x2") = c;
	register word x3 __asm__("x3") = d;
	register word x4 __asm__("x4") = e;
	register word x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0)
		: "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}

__asm__(".globl _start\n_start:\n\tmov x29,xzr\n\tmov x30,xzr\n\tmov x0,sp\n\tand sp,x0,-16\n\tbl run\n");

enum { STAT_BYTES = 128, STAT_MODE = 16 };
#else
#error "no system calls for this processor"
#endif

enum { AT_FDCWD = -100, AT_REMOVEDIR = 0x200, SIGCHLD = 17, PRIO_PROCESS = 0,
	RUSAGE_SELF = 0, RUSAGE_CHILDREN = -1, SIG_SETMASK = 2, RLIMIT_FSIZE = 1 };
enum { O_RDONLY = 0, O_WRONLY = 01, O_CREAT = 0100, O_EXCL = 0200, O_APPEND = 02000,
	O_NONBLOCK = 04000, O_CLOEXEC = 02000000 };
enum { S_IFMT = 0170000, S_IFIFO = 0010000, S_IFREG = 0100000 };
enum { ENOENT = 2, ENOEXEC = 8, E2BIG = 7, ENOMEM = 12, EACCES = 13, ENOTDIR = 20, ETXTBSY = 26,
	ENAMETOOLONG = 36, ELOOP = 40, EPERM = 1, EEXIST = 17, EAGAIN = 11 };

#define call1(n, a) call(n, (word)(a), 0, 0, 0, 0, 0)
#define call2(n, a, b) call(n, (word)(a), (word)(b), 0, 0, 0, 0)
#define call3(n, a, b, c) call(n, (word)(a), (word)(b), (word)(c), 0, 0, 0)
#define call4(n, a, b, c, d) call(n, (word)(a), (word)(b), (word)(c), (word)(d), 0, 0)

struct time { int64_t seconds, micros; };
struct usage { struct time user, system; int64_t rest[14]; };
struct limit { uint64_t soft, hard; };

static _Noreturn void end(int code)
{
	for (;;) call1(SYS_exit_group, code);
}

/* A compiler may make calls of these. */
void *memset(void *to, int byte, size_t count)
{
	char *at = to;
	while (count--) *at++ = (char)byte;
	return to;
}
void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
	char *at = to;
	const char *source = from;
	while (count--) *at++ = *source++;
	return to;
}

static int starts(const char *text, const char *with)
{
	while (*with) if (*text++ != *with++) return 0;
	return 1;
}

static int is_text(const char *text, const char *other)
{
	while (*text && *text == *other) text++, other++;
	return *text == *other;
}

/* ---- Text that is put together before it is written in one step. ---- */

/* More than the longest: two lines of /proc's, and the path of a cgroup. */
enum { TEXT_BYTES = 12 * 1024 };
struct text { size_t used; char bytes[TEXT_BYTES]; };

static void add(struct text *text, const char *what)
{
	while (*what && text->used < TEXT_BYTES - 1) text->bytes[text->used++] = *what++;
	text->bytes[text->used] = 0;
}

/* Not initialized as a whole: pages that nobody touches cost nothing. */
static void begin(struct text *text, const char *what)
{
	text->used = 0;
	add(text, what);
}

static void add_number(struct text *text, uint64_t number, int min_digits)
{
	char digits[24];
	int at = sizeof digits - 1;
	digits[at] = 0;
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number || (int)sizeof digits - 1 - at < min_digits);
	add(text, digits + at);
}

/* As the `times` of a shell prints it. */
static void add_time(struct text *text, const struct time *time)
{
	add_number(text, (uint64_t)time->seconds / 60, 1);
	add(text, "m");
	add_number(text, (uint64_t)time->seconds % 60, 1);
	add(text, ".");
	add_number(text, (uint64_t)time->micros, 6);
	add(text, "s");
}

static void add_usage(struct text *text, int who)
{
	struct usage usage;
	memset(&usage, 0, sizeof usage);
	call2(SYS_getrusage, who, &usage);
	add_time(text, &usage.user);
	add(text, " ");
	add_time(text, &usage.system);
	add(text, "\n");
}

/* ---- Files. ---- */

static word open_at(word dir, const char *path, int flags)
{
	return call4(SYS_openat, dir, path, flags | O_CLOEXEC, 0600);
}

/* Its type, among S_IFMT. */
static unsigned type_of(word fd)
{
	char stats[STAT_BYTES];
	if (call2(SYS_fstat, fd, stats) < 0) return 0;
	return *(uint32_t *)(stats + STAT_MODE) & S_IFMT;
}

static int is_same_file(const char *path, const char *other)
{
	uint64_t stats[2][STAT_BYTES / 8];
	if (call4(SYS_newfstatat, AT_FDCWD, path, stats[0], 0) < 0) return 0;
	if (call4(SYS_newfstatat, AT_FDCWD, other, stats[1], 0) < 0) return 0;
	return stats[0][0] == stats[1][0] && stats[0][1] == stats[1][1];
}

static int write_text(word fd, const struct text *text)
{
	return call3(SYS_write, fd, text->bytes, text->used) == (word)text->used;
}

/* Moves this process there: to the kernel, "0" is the writer. */
static int enter(const char *cgroup)
{
	struct text path, self;
	begin(&path, cgroup);
	add(&path, "/cgroup.procs");
	begin(&self, "0\n");
	word fd = open_at(AT_FDCWD, path.bytes, O_WRONLY);
	if (fd < 0) return 0;
	int is_in = write_text(fd, &self);
	call1(SYS_close, fd);
	return is_in;
}

/* Ends a runner whose job is gone. Nobody else may know of the cgroup. */
static _Noreturn void give_up(const char *cgroup)
{
	if (*cgroup) call3(SYS_unlinkat, AT_FDCWD, cgroup, AT_REMOVEDIR);
	end(1);
}

/* Adds who this process is: the line that /proc has of it. It has one thread. Emulators (qemu) have
 * a /proc/self of their own, where a fork has the start time of the process that it is of. */
static int add_self(struct text *text)
{
	char line[2048];
	word fd = open_at(AT_FDCWD, "/proc/thread-self/stat", O_RDONLY);
	if (fd < 0) return 0;
	word count = call3(SYS_read, fd, line, sizeof line - 1);
	call1(SYS_close, fd);
	if (count <= 0 || line[count - 1] != '\n') return 0;
	line[count] = 0;
	add(text, line);
	return 1;
}

/* ---- What it is told: words, each with a byte 0 at its end. native-runner.ts has their order. ---- */

enum { MESSAGE_BYTES = 64 * 1024 };
static char message[MESSAGE_BYTES];
static char *next_byte, *message_end;
/* Each word takes a byte at least; and there are three lists, and a word more. */
static char *list_words[MESSAGE_BYTES + 4];
static char **next_list = list_words;

struct job {
	const char *dir;
	/* Where to go first, or "". */
	const char *work_dir;
	const char *stderr_log;
	/* The cgroup to make for the command, or "". */
	const char *cgroup;
	word umask;
	/* Pairs: the number of a resource, and its soft limit, or "" for none. */
	char **limits;
	/* The niceness, or "" to leave it. */
	const char *nice;
	/* Whether PWD is to name the directory that the command runs in. */
	word corrects_pwd;
	/* The file to execute. */
	const char *file;
	/* The command as it was given, and its arguments. The place before it is free. */
	char **argv;
	char **env;
};

static char *next_word(void)
{
	char *from = next_byte;
	while (next_byte < message_end && *next_byte) next_byte++;
	return next_byte++ < message_end ? from : NULL;
}

static int parse_number(const char *text, word *number)
{
	int is_negative = *text == '-';
	uint64_t found = 0;
	text += is_negative;
	if (!*text) return 0;
	for (; *text; text++) {
		if (*text < '0' || *text > '9') return 0;
		found = found * 10 + (uint64_t)(*text - '0');
	}
	*number = (word)(is_negative ? -found : found);
	return 1;
}

static int next_number(word *number)
{
	const char *text = next_word();
	return text && parse_number(text, number);
}

/* Takes a number and so many words. */
static char **take_list(void)
{
	word count;
	char **list = next_list;
	if (!next_number(&count) || count < 0 || count > message_end - next_byte) return NULL;
	while (count--) if (!(*next_list++ = next_word())) return NULL;
	*next_list++ = NULL;
	return list;
}

/* Reads to the end of the standard input, which comes where nobody is left to write. */
static int read_message(void)
{
	message_end = next_byte = message;
	for (;;) {
		word count = call3(SYS_read, 0, message_end, message + MESSAGE_BYTES - message_end);
		if (count <= 0) return count == 0;
		message_end += count;
		if (message_end == message + MESSAGE_BYTES) return 0;
	}
}

/* Returns whether it is one, and whole. */
static int parse_job(struct job *job)
{
	const char *version = next_word();
	if (!version || !is_text(version, "procman 1")) return 0;
	if (!(job->dir = next_word()) || !(job->cgroup = next_word())) return 0;
	if (!(job->work_dir = next_word())) return 0;
	if (!(job->stderr_log = next_word()) || !next_number(&job->umask)) return 0;
	if (!(job->nice = next_word()) || !next_number(&job->corrects_pwd)) return 0;
	if (!(job->limits = take_list()) || !(job->file = next_word())) return 0;
	*next_list++ = NULL;
	if (!(job->argv = take_list()) || !job->argv[0] || !(job->env = take_list())) return 0;
	const char *last = next_word();
	return last && is_text(last, "end") && next_byte == message_end;
}

/* ---- The command. ---- */

/* The job's directory, open until the end, so that it is found again wherever it was moved. */
enum { JOB_FD = 7 };

/* The child's exit status where it made no record. */
enum { NOT_RECORDED = 125 };

static const char *reason_of(word error)
{
	switch (error) {
	case EPERM: return "Operation not permitted";
	case ENOENT: return "not found";
	case E2BIG: return "Argument list too long";
	case ENOEXEC: return "Exec format error";
	case ENOMEM: return "Cannot allocate memory";
	case EACCES: return "Permission denied";
	case ENOTDIR: return "Not a directory";
	case ETXTBSY: return "Text file busy";
	case ENAMETOOLONG: return "File name too long";
	case ELOOP: return "Too many levels of symbolic links";
	default: return "cannot be executed";
	}
}

/* Ends the child, which cannot execute the command. The record says why, in a line. */
static _Noreturn void refuse(word record, const char *what, word error)
{
	struct text line;
	/* The record is not the job's, whose limit may be less than it has already. */
	struct limit size;
	if (call4(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &size) == 0) {
		size.soft = size.hard;
		call4(SYS_prlimit64, 0, RLIMIT_FSIZE, &size, NULL);
	}
	begin(&line, "not executed: ");
	add(&line, what);
	add(&line, ": ");
	add(&line, reason_of(-error));
	for (size_t at = 0; at < line.used; at++) if (line.bytes[at] == '\n') line.bytes[at] = ' ';
	add(&line, "\n");
	write_text(record, &line);
	int is_missing = error == -ENOENT || error == -ENOTDIR || error == -ELOOP || error == -ENAMETOOLONG;
	end(is_missing ? 127 : 126);
}

static void open_log(const char *name, int as)
{
	word fd = open_at(JOB_FD, name, O_WRONLY | O_CREAT | O_APPEND);
	if (fd < 0 || call3(SYS_dup3, fd, as, 0) < 0) end(NOT_RECORDED);
	call1(SYS_close, fd);
}

/* Records who the runner and this child of it are. Only one process can make that file: the
 * runner, or a server that abandons the job. Returns its descriptor. */
static word record_process(struct text *record, const char *cgroup)
{
	if (!add_self(record)) end(NOT_RECORDED);
	add(record, "cgroup ");
	add(record, cgroup);
	add(record, "\n");
	word fd = open_at(JOB_FD, "process", O_WRONLY | O_CREAT | O_EXCL);
	if (fd < 0 || !write_text(fd, record)) end(NOT_RECORDED);
	return fd;
}

static word set_limit(const char *resource, const char *soft)
{
	word number, amount = -1;
	struct limit limit;
	if (!parse_number(resource, &number)) return -EPERM;
	if (*soft && !parse_number(soft, &amount)) return -EPERM;
	word failed = call4(SYS_prlimit64, 0, number, NULL, &limit);
	if (failed) return failed;
	limit.soft = (uint64_t)amount;
	return call4(SYS_prlimit64, 0, number, &limit, NULL);
}

static word fork_child(void)
{
	return call(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
}

/* See clone(2). */
struct clone_args { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size,
	tls, set_tid, set_tid_size, cgroup; };
static const uint64_t CLONE_INTO_CGROUP = 0x200000000;

/*
 * Makes the job's cgroup, and the child in it: to enter one may take the kernel 20 ms. Where
 * that is not to be had (Linux 5.7), the child enters it by itself. Has `cgroup` be "" in
 * the child where it is in none. The runner stays outside, so that all in it can be ended.
 */
static word fork_command(const char **cgroup)
{
	word made = **cgroup ? call3(SYS_mkdirat, AT_FDCWD, *cgroup, 0755) : -ENOENT;
	if (made < 0 && made != -EEXIST) {
		*cgroup = "";
		return fork_child();
	}
	word fd = open_at(AT_FDCWD, *cgroup, O_RDONLY);
	struct clone_args args;
	memset(&args, 0, sizeof args);
	args.flags = CLONE_INTO_CGROUP;
	args.exit_signal = SIGCHLD;
	args.cgroup = (uint64_t)fd;
	word child = fd < 0 ? fd : call2(SYS_clone3, &args, sizeof args);
	if (child != 0 && fd >= 0) call1(SYS_close, fd);
	if (child >= 0 || child == -EAGAIN || child == -ENOMEM) return child;
	child = fork_child();
	if (child == 0 && !enter(*cgroup)) *cgroup = "";
	return child;
}

static void unblock_signals(void)
{
	static const uint64_t none = 0;
	call4(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
}

static _Noreturn void run_command(const struct job *job, struct text *record, const char *cgroup)
{
	open_log("stdout.log", 1);
	open_log(job->stderr_log, 2);
	word fd = record_process(record, cgroup);
	call1(SYS_umask, job->umask);
	word nice;
	/* The kernel returns 20 less the niceness. To set it may be forbidden, also to what it is. */
	if (parse_number(job->nice, &nice) && call2(SYS_getpriority, PRIO_PROCESS, 0) != 20 - nice) {
		word failed = call3(SYS_setpriority, PRIO_PROCESS, 0, nice);
		if (failed) refuse(fd, "nice", failed);
	}
	for (char **limit = job->limits; limit[0] && limit[1]; limit += 2) {
		word failed = set_limit(limit[0], limit[1]);
		if (failed) refuse(fd, "soft limits", failed);
	}
	/* One that has come to the group since is delivered now. */
	unblock_signals();
	const char *command = job->argv[0];
	word failed = call3(SYS_execve, job->file, job->argv, job->env);
	if (failed == -ENOEXEC) {
		/* A script that names no interpreter is a shell's, by POSIX. */
		char **with_shell = job->argv - 1;
		with_shell[0] = "/bin/sh";
		with_shell[1] = (char *)job->file;
		failed = call3(SYS_execve, with_shell[0], with_shell, job->env);
	}
	refuse(fd, command, failed);
}

/* Returns its exit code, as a shell's: 128 and the number of the signal that ended it. */
static int wait_for(word child)
{
	int status = 0;
	while (call4(SYS_wait4, child, &status, 0, NULL) != child);
	return status & 0x7f ? 128 + (status & 0x7f) : (status >> 8) & 0xff;
}

/* ---- The record of its end. ---- */

/* Ends the runner where its pause is ended: by a stop, which spares the runner itself. */
static void pause_a_second(void)
{
	static const int64_t second[2] = { 1, 0 };
	word child = fork_child();
	if (child > 0) {
		if (wait_for(child) != 0) end(1);
		return;
	}
	/* By itself where there can be no more processes. */
	if (child == 0) unblock_signals();
	call2(SYS_nanosleep, second, NULL);
	if (child == 0) end(0);
}

/* Whether that directory is this job's: its record names this boot. The command can have made
 * anything of that file. */
static int is_job_dir(word dir, const char *boot)
{
	char head[256];
	word fd = open_at(dir, "process", O_RDONLY | O_NONBLOCK);
	if (fd < 0) return 0;
	word count = type_of(fd) == S_IFREG ? call3(SYS_read, fd, head, sizeof head - 1) : 0;
	call1(SYS_close, fd);
	if (count <= 0) return 0;
	head[count] = 0;
	for (char *at = head; *at; at++) if (*at == '\n') *at = 0;
	return is_text(head, boot);
}

/* Has JOB_FD be the job's directory: where it was moved, or where it was deleted and restored. */
static int find_dir(const struct job *job, const char *boot, int code)
{
	/* The child has made the record, where it does not say that it could not. */
	if (code != NOT_RECORDED && call3(SYS_faccessat, JOB_FD, "process", 0) == 0) return 1;
	if (is_job_dir(JOB_FD, boot)) return 1;
	/* Anything can be there by now: a pipe would block this process. */
	word dir = open_at(AT_FDCWD, job->dir, O_RDONLY | O_NONBLOCK);
	if (dir < 0) return 0;
	int is_it = is_job_dir(dir, boot);
	if (is_it) call3(SYS_dup3, dir, JOB_FD, O_CLOEXEC);
	call1(SYS_close, dir);
	return is_it;
}

/* Waits while the directory is away. Ends the runner where there is nothing to wait for. */
static void await_dir(const struct job *job, const char *boot, const char *cgroup, int code)
{
	enum { MAX_TURNS = 60 };
	char stats[STAT_BYTES];
	static int turns;
	while (!find_dir(job, boot, code)) {
		/* The directory is there, and the job's record is not: deleted, or given up. */
		if (call4(SYS_newfstatat, JOB_FD, ".", stats, 0) == 0) give_up(cgroup);
		/* It may not be entered now. Where not even that is known, it may be gone for good. */
		if (call2(SYS_fstat, JOB_FD, stats) < 0 && ++turns > MAX_TURNS) give_up(cgroup);
		pause_a_second();
	}
}

/* Over what the file has, which needs no room on a full disk. */
static int write_exit(const struct text *record)
{
	word fd = open_at(JOB_FD, "exit", O_WRONLY | O_CREAT | O_NONBLOCK);
	if (fd < 0) return 0;
	int is_written = type_of(fd) != S_IFIFO && write_text(fd, record);
	call1(SYS_close, fd);
	return is_written;
}

/* ---- The whole. ---- */

/* What a shell makes of the PWD that it was started with: the directory that it is in. */
static void correct_pwd(char **env)
{
	static char pwd[4096 + 4];
	for (; *env; env++) {
		if (!starts(*env, "PWD=")) continue;
		if ((*env)[4] == '/' && is_same_file(*env + 4, ".")) return;
		memcpy(pwd, "PWD=", 4);
		if (call2(SYS_getcwd, pwd + 4, sizeof pwd - 4) > 0) *env = pwd;
		return;
	}
}

__attribute__((used)) static _Noreturn void run(word *stack)
{
	static const uint64_t all_signals = ~(uint64_t)0;
	char **words = (char **)(stack + 1);
	if (stack[0] != 2) end(2);
	const char *boot = words[1];
	/* The runner survives a signal to its group. */
	call4(SYS_rt_sigprocmask, SIG_SETMASK, &all_signals, NULL, sizeof all_signals);
	/* Where it is ignored, the kernel keeps no child's status. */
	static const uint64_t by_default[4];
	call4(SYS_rt_sigaction, SIGCHLD, by_default, NULL, sizeof all_signals);
	call1(SYS_umask, 077);
	static struct text record;
	begin(&record, boot);
	add(&record, "\n");
	if (!add_self(&record)) end(1);

	static struct job job;
	if (!read_message() || !parse_job(&job)) end(1);
	word null = open_at(AT_FDCWD, "/dev/null", O_RDONLY);
	if (null < 0 || call3(SYS_dup3, null, 0, 0) < 0) end(1);
	if (null > 2) call1(SYS_close, null);
	if (*job.work_dir && call1(SYS_chdir, job.work_dir) < 0) end(1);
	word dir = open_at(AT_FDCWD, job.dir, O_RDONLY);
	if (dir < 0 || (dir != JOB_FD && call3(SYS_dup3, dir, JOB_FD, O_CLOEXEC) < 0)) end(1);
	if (dir != JOB_FD) call1(SYS_close, dir);

	const char *cgroup = job.cgroup;
	word child = fork_command(&cgroup);
	if (child < 0) end(1);
	if (child == 0) {
		if (job.corrects_pwd) correct_pwd(job.env);
		run_command(&job, &record, cgroup);
	}
	int code = wait_for(child);
	await_dir(&job, boot, cgroup, code);
	begin(&record, "");
	add_number(&record, (uint64_t)code, 1);
	add(&record, "\n");
	add_usage(&record, RUSAGE_SELF);
	add_usage(&record, RUSAGE_CHILDREN);
	/* While the disk is full, unless the job's directory is gone. */
	while (!write_exit(&record)) {
		pause_a_second();
		await_dir(&job, boot, cgroup, code);
	}
	end(0);
}
