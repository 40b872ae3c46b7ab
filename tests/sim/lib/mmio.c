// SPDX-License-Identifier: MIT
/* A vCPU that touches a register of a device that an IOREQ server has, and waits for the answer. */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xen/hvm/ioreq.h>

#include "client.h"
#include "xensim.h"

struct xensim_cpu {
	struct sim_client c;
	unsigned int vcpu;
	uint32_t server;    /* whose page is mapped */
	struct ioreq *slot; /* NULL: none yet */
};

SIM_EXPORT struct xensim_cpu *xensim_cpu_open(unsigned int vcpu)
{
	struct xensim_cpu *cpu = calloc(1, sizeof(*cpu));
	int fds[2], err;

	if (!cpu)
		return NULL;
	cpu->vcpu = vcpu;
	err = -sim_client_open(&cpu->c, SIM_HANDLE_PRIV, fds);
	if (!err)
		return cpu;
	free(cpu);
	errno = err;
	return NULL;
}

static void forget_page(struct xensim_cpu *cpu)
{
	if (cpu->slot)
		munmap(cpu->slot, SIM_PAGE_SIZE);
	cpu->slot = NULL;
}

SIM_EXPORT void xensim_cpu_close(struct xensim_cpu *cpu)
{
	if (!cpu)
		return;
	forget_page(cpu);
	sim_client_close(&cpu->c);
	free(cpu);
}

/* The hub knows of no end of a wait, so the vCPU looks again and again, as it must when the
 * emulator is killed and another takes over. */
static int wait_answer(struct xensim_cpu *cpu, uint64_t *value, unsigned int timeout_ms)
{
	struct ioreq *slot = cpu->slot + cpu->vcpu;
	uint8_t *state = (uint8_t *)slot + SIM_IOREQ_STATE;

	for (unsigned int i = 0;
	     (__atomic_load_n(state, __ATOMIC_ACQUIRE) & 15) != STATE_IORESP_READY; i++) {
		if (i < 100) {
			poll(NULL, 0, 0);
			continue;
		}
		if (i - 100 >= timeout_ms)
			return -ETIMEDOUT;
		sim_sleep_ms(1);
	}
	*value = slot->data;
	__atomic_store_n(state, STATE_IOREQ_NONE, __ATOMIC_RELEASE);
	return 0;
}

SIM_EXPORT int xensim_access(struct xensim_cpu *cpu, const struct xensim_access *access,
			     uint64_t *value, unsigned int timeout_ms)
{
	uint32_t words[SIM_ACCESS_WORDS] = {
		(uint32_t)access->addr,
		(uint32_t)(access->addr >> 32),
		(uint32_t)*value,
		(uint32_t)(*value >> 32),
		access->size,
		access->write,
		cpu->vcpu,
		access->type,
		access->count,
		(access->ptr ? SIM_ACCESS_PTR : 0) | (access->df ? SIM_ACCESS_DF : 0),
	};
	struct sim_msg m = {.op = SIM_OP_ACCESS, .n = SIM_ACCESS_WORDS};
	int fd = -1;
	int ret = sim_rpc(&cpu->c, &m, words, NULL, 0, &fd, 1);

	if (ret)
		return ret;
	if (cpu->slot && cpu->server != m.arg[0])
		forget_page(cpu);
	if (!cpu->slot) {
		void *at = mmap(NULL, SIM_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		cpu->slot = at == MAP_FAILED ? NULL : at;
		cpu->server = m.arg[0];
	}
	close(fd);
	return cpu->slot ? wait_answer(cpu, value, timeout_ms) : -ENOMEM;
}

SIM_EXPORT int xensim_irq_fd(struct xensim_cpu *cpu, unsigned int line)
{
	struct sim_msg m = {.op = SIM_OP_IRQ, .arg = {line}};
	int fd = -1;
	int ret = sim_rpc(&cpu->c, &m, NULL, NULL, 0, &fd, 1);

	return ret ? ret : fd;
}
