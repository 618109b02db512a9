#include <stdio.h>
#include <string.h>

#include "host.h"

static const char usage[] = "usage: gate --memory FILE --stepped [--paced]\n"
                            "       gate --memory FILE --port NAME [--control SOCKET]\n";

int main(int count, char **words)
{
    const char *port_path = NULL, *control_path = NULL;
    bool stepped = false, paced = false;
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--stepped") == 0)
            stepped = true;
        else if (strcmp(words[i], "--paced") == 0)
            paced = true;
        else if (i + 1 < count && strcmp(words[i], "--memory") == 0)
            host.memory_path = words[++i];
        else if (i + 1 < count && strcmp(words[i], "--port") == 0)
            port_path = words[++i];
        else if (i + 1 < count && strcmp(words[i], "--control") == 0)
            control_path = words[++i];
        else
            return fputs(usage, stderr), 2;
    }
    if (host.memory_path == NULL || stepped == (port_path != NULL))
        return fputs(usage, stderr), 2;
    return stepped ? host_step(paced) : host_serve(port_path, control_path);
}
